// Command machine brings up an engine, a builder and a base image, runs a command with them, and ends them. Without a
// command it waits for Ctrl-C, and prints what to export meanwhile. What the command writes is shown on stderr; with
// -output, what it wrote on stdout is in that file when it has ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 3
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (code int, err error) {
	flags := flag.NewFlagSet("machine", flag.ContinueOnError)
	output := flags.String("output", "", "file for what the command writes on stdout")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	command := flags.Args()
	root, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	log := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	machine, err := imagetest.Start(ctx, imagetest.Options{Repository: root, Env: os.Environ(), Log: log})
	defer func() { err = errors.Join(err, machine.Close()) }()
	if err != nil {
		return 0, err
	}
	if len(command) > 0 {
		out, err := machine.Execute(ctx, root, command)
		if err == nil && *output != "" {
			err = os.WriteFile(*output, out.Stdout, 0o600)
		}
		return out.ExitCode, err
	}
	for _, entry := range machine.Env {
		for _, name := range []string{"DOCKER_HOST=", "DOCKER_CONFIG=", "METER_BUILDER=", "METER_BASE_IMAGE=", imagetest.Variable + "="} {
			if strings.HasPrefix(entry, name) {
				fmt.Println("export " + entry)
			}
		}
	}
	<-ctx.Done()
	return 0, nil
}
