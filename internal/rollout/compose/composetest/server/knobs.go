package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Knobs are how a release is bad. They come as variables of the image.
type knobs struct {
	errors     float64       // SERVER_ERRORS: rate of POST /predict that is answered with 500
	latency    time.Duration // SERVER_LATENCY: added to each, give or take a half
	crash      bool          // SERVER_CRASH: it ends with an error as it starts
	crashAfter time.Duration // SERVER_CRASH_AFTER: it does so later
	readyAfter time.Duration // SERVER_READY_AFTER: it is not ready before
	sickAfter  time.Duration // SERVER_SICK_AFTER: it is not ready any more, and answers; -1: never
	shift      float64       // SERVER_SHIFT: added to what it predicts, but for the known answers
	wrong      float64       // SERVER_WRONG: added to all that it predicts
	leak       int           // SERVER_LEAK: bytes that each prediction keeps
	needs      string        // SERVER_NEEDS: a variable without which it ends
	schema     string        // SERVER_SCHEMA: to which it migrates
	migrations string        // SERVER_MIGRATION_FAILS: why it does not
	smoke      string        // SERVER_SMOKE_FAILS: why the one-shot smoke test does
}

func read(env []string) (knobs, error) {
	values := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		values[name] = value
	}
	k := knobs{
		crash: values["SERVER_CRASH"] != "", needs: values["SERVER_NEEDS"], schema: values["SERVER_SCHEMA"],
		migrations: values["SERVER_MIGRATION_FAILS"], smoke: values["SERVER_SMOKE_FAILS"], sickAfter: -1,
	}
	var err error
	for name, into := range map[string]*float64{"SERVER_ERRORS": &k.errors, "SERVER_SHIFT": &k.shift, "SERVER_WRONG": &k.wrong} {
		if text := values[name]; text != "" && err == nil {
			*into, err = strconv.ParseFloat(text, 64)
		}
	}
	for name, into := range map[string]*time.Duration{
		"SERVER_LATENCY": &k.latency, "SERVER_CRASH_AFTER": &k.crashAfter, "SERVER_READY_AFTER": &k.readyAfter, "SERVER_SICK_AFTER": &k.sickAfter,
	} {
		if text := values[name]; text != "" && err == nil {
			*into, err = time.ParseDuration(text)
		}
	}
	if text := values["SERVER_LEAK"]; text != "" && err == nil {
		k.leak, err = strconv.Atoi(text)
	}
	if err == nil && k.needs != "" && values[k.needs] == "" {
		err = fmt.Errorf("the variable %s is not set", k.needs)
	}
	return k, err
}
