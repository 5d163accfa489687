// Package wire is what a deployer and the agent on a target say to each other: orders and their results, the settings
// of a bundle, secrets on their way, the status, and the events of a watch. All of it is JSON, read strictly: an unknown
// key is a mistake of the writer, never ignored. It also knows where each thing lies in the state directory.
//
// The deployer and the agent import it. It stands above rollout and judge, whose types it spells for JSON.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Schema is of settings.json, status.json and the orders.
const Schema = 1

// Limits of what the agent reads, in bytes.
const (
	LongestOrder    = 256 << 10
	LongestSettings = 64 << 10
	LongestSecrets  = 1 << 20
	LongestBundle   = 16 << 20
)

// A Layout is a state directory.
type Layout struct{ Dir string }

// Orders is the directory of orders that wait or are being done.
func (l Layout) Orders() string { return filepath.Join(l.Dir, "orders") }

// Order is the file of one.
func (l Layout) Order(id string) string { return filepath.Join(l.Orders(), id+".json") }

// Results is the directory of what became of orders.
func (l Layout) Results() string { return filepath.Join(l.Dir, "results") }

// Result is the file of one.
func (l Layout) Result(id string) string { return filepath.Join(l.Results(), id+".json") }

// Requests is the directory of a rollout.Requests.
func (l Layout) Requests() string { return filepath.Join(l.Dir, "requests") }

// Bundles is the directory of all bundles.
func (l Layout) Bundles() string { return filepath.Join(l.Dir, "bundles") }

// Bundle is the directory of one, by its digest with or without "sha256:".
func (l Layout) Bundle(digest string) string {
	return filepath.Join(l.Bundles(), strings.TrimPrefix(digest, "sha256:"))
}

// Settings is the file of the settings in a bundle.
func (l Layout) Settings(digest string) string {
	return filepath.Join(l.Bundle(digest), "settings.json")
}

// Secrets is the directory of all secrets; below it one for each service.
func (l Layout) Secrets() string { return filepath.Join(l.Dir, "secrets") }

// Status is the file of the status.
func (l Layout) Status() string { return filepath.Join(l.Dir, "status.json") }

// Alerts is the file of the alerts, one a line.
func (l Layout) Alerts() string { return filepath.Join(l.Dir, "alerts.jsonl") }

// Metrics is the file for Prometheus, in the format of node_exporter's textfile collector.
func (l Layout) Metrics() string { return filepath.Join(l.Dir, "metrics.prom") }

// decode reads one JSON value and nothing else.
func decode(content []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// read reads all of r, and no more than most bytes.
func read(r io.Reader, most int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(content) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	return content, err
}
