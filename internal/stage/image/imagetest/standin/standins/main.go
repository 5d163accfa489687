// Command standins makes the images that take the place of public ones on a test machine, and prints their names:
//
//	go run ./internal/stage/image/imagetest/machine go run ./internal/stage/image/imagetest/standin/standins
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest"
	"github.com/meter-ml/meter-pipeline/internal/stage/image/imagetest/standin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run(ctx context.Context) (err error) {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	log := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	machine, err := imagetest.Start(ctx, imagetest.Options{Repository: root, Env: os.Environ(), Log: log})
	defer func() { err = errors.Join(err, machine.Close()) }()
	if err != nil {
		return err
	}
	for _, name := range standin.Names() {
		image, err := standin.Image(ctx, machine, name, log)
		if err != nil {
			return err
		}
		fmt.Println(name, image)
	}
	return nil
}
