// Server answers like model_api without being it: a static program that an image from scratch can hold, and that is bad
// in every way that a release can be, as its variables say. With an argument it is what else a stack needs:
//
//	server            POST /predict, GET /health/ready, /health/live, /version, /metrics on port 8000
//	server health     ends with 0 if the server beside it is ready
//	server migrate    brings the database in DATABASE_URL_FILE to SERVER_SCHEMA
//	server smoke      ends with 0 if SMOKE_URLS, with commas between them, all answer 200
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const address = ":8000"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := run(ctx, os.Args[1:], os.Environ())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args, env []string) error {
	if len(args) == 1 && args[0] == "health" {
		return get(ctx, "http://127.0.0.1"+address+"/health/ready")
	}
	k, err := read(env)
	switch {
	case err != nil:
		return fmt.Errorf("read variables: %w", err)
	case len(args) == 0:
		return serve(ctx, k, env)
	case args[0] == "migrate":
		return migrate(ctx, k, value(env, "DATABASE_URL_FILE"))
	case args[0] == "smoke" && k.smoke != "":
		return errors.New(k.smoke)
	case args[0] == "smoke":
		for url := range strings.SplitSeq(value(env, "SMOKE_URLS"), ",") {
			if err := get(ctx, url); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("unknown argument %q", args[0])
}

func value(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// migrate does what alembic would leave behind.
func migrate(ctx context.Context, k knobs, file string) error {
	if k.migrations != "" {
		return errors.New(k.migrations)
	}
	url, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	connection, err := pgx.Connect(ctx, strings.TrimSpace(string(url)))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close(ctx) }()
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY)",
		"DELETE FROM alembic_version",
	} {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return err
		}
	}
	_, err = connection.Exec(ctx, "INSERT INTO alembic_version VALUES ($1)", k.schema)
	return err
}
