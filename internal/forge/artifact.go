package forge

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Past is an earlier run of a workflow.
type Past struct {
	ID     int64  `json:"id"`
	Commit string `json:"head_sha"`
	URL    string `json:"html_url"`
	Event  string `json:"event"` // push, pull_request
}

// A File was found in an artifact.
type File struct {
	Name    string // without its directory
	Content []byte
}

// Newest is the newest push of a branch whose run of that workflow has passed; ErrNotFound if there is none.
func (c *Client) Newest(ctx context.Context, workflow, branch string) (Past, error) {
	query := url.Values{"branch": {branch}, "event": {"push"}, "status": {"success"}, "per_page": {"1"}}
	var found struct {
		Runs []Past `json:"workflow_runs"`
	}
	if err := c.ask(ctx, runsOf(workflow, query), &found); err != nil {
		return Past{}, err
	}
	if len(found.Runs) == 0 {
		return Past{}, fmt.Errorf("look for a run of %q: %w", branch, ErrNotFound)
	}
	return found.Runs[0], nil
}

// Since are the newest runs of a workflow that were begun on that day or later and are over, at most as many as most; more
// says that there were others.
func (c *Client) Since(ctx context.Context, workflow string, day time.Time, most int) (runs []Past, more bool, err error) {
	for page := 1; ; page++ {
		query := url.Values{"status": {"completed"}, "created": {">=" + day.UTC().Format(time.DateOnly)}, "per_page": {"100"}, "page": {strconv.Itoa(page)}}
		var found struct {
			Runs []Past `json:"workflow_runs"`
		}
		if err := c.ask(ctx, runsOf(workflow, query), &found); err != nil {
			return nil, false, err
		}
		runs = append(runs, found.Runs...)
		if len(runs) > most {
			return runs[:most], true, nil
		}
		if len(found.Runs) < 100 {
			return runs, false, nil
		}
	}
}

func runsOf(workflow string, query url.Values) Call {
	return Call{Method: http.MethodGet, Path: []string{"actions", "workflows", workflow, "runs"}, Query: query.Encode()}
}

// Files are those of these names which the run's artifacts hold whose names begin with prefix. What has expired is
// left out.
func (c *Client) Files(ctx context.Context, run Past, prefix string, names ...string) ([]File, error) {
	var listed struct {
		Artifacts []struct {
			ID      int64  `json:"id"`
			Name    string `json:"name"`
			Expired bool   `json:"expired"`
			Size    int64  `json:"size_in_bytes"`
		} `json:"artifacts"`
	}
	list := Call{Method: http.MethodGet, Path: []string{"actions", "runs", strconv.FormatInt(run.ID, 10), "artifacts"}, Query: "per_page=100"}
	if err := c.ask(ctx, list, &listed); err != nil {
		return nil, err
	}
	var files []File
	for _, artifact := range listed.Artifacts {
		if artifact.Expired || !strings.HasPrefix(artifact.Name, prefix) {
			continue
		}
		content, err := c.archive(ctx, artifact.ID)
		if err != nil {
			return nil, err
		}
		found, err := inside(content, names)
		if err != nil {
			return nil, fmt.Errorf("read artifact %s: %w", artifact.Name, err)
		}
		files = append(files, found...)
	}
	return files, nil
}

// archive fetches an artifact from where GitHub keeps it, which is another server.
func (c *Client) archive(ctx context.Context, id int64) ([]byte, error) {
	call := Call{Method: http.MethodGet, Path: []string{"actions", "artifacts", strconv.FormatInt(id, 10), "zip"}, follow: true}
	content, _, err := c.send(ctx, call, quiet)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.Method, call.local(), err)
	}
	return content, nil
}

// inside finds files in an archive, and writes none of them anywhere.
func inside(archive []byte, names []string) ([]File, error) {
	reader, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	var found []File
	for _, file := range reader.File {
		if !slices.Contains(names, path.Base(file.Name)) {
			continue
		}
		stream, err := file.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(stream, most+1))
		_ = stream.Close()
		if err != nil {
			return nil, err
		}
		if len(content) > most {
			return nil, fmt.Errorf("%s is longer than %d bytes", file.Name, most)
		}
		found = append(found, File{path.Base(file.Name), content})
	}
	return found, nil
}
