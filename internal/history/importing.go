package history

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/plain"
)

// Limits of what is imported. Artifacts come from elsewhere: a pull request's author may have made them.
const (
	mostEntries   = 20_000
	mostReports   = 5_000
	longestReport = 64 << 20  // bytes of one report.json
	mostBytes     = 512 << 20 // of all of them, unpacked
	reportName    = "report.json"
)

// An Import says what became of the reports that were found.
type Import struct {
	Found, Added, Known int
	Deploys             int      // that are new
	Refused             []string // reports that are none, with the reason
}

// ImportDir takes in every report.json and deploys.json below a directory, as `gh run download` leaves them. Symbolic links are refused:
// they could lead anywhere.
func ImportDir(ctx context.Context, history string, keep int, dir string) (Import, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Import{}, fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	i := importer{}
	entries := 0
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		entries++
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case entries > mostEntries:
			return fmt.Errorf("it has more than %d entries: name a directory that holds only what CI kept", mostEntries)
		case !wanted(entry.Name()) || entry.IsDir():
			return nil
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", plain.Line(name))
		}
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(i.take(name, file), file.Close())
	})
	if err != nil {
		return Import{}, fmt.Errorf("import %s: %w", dir, err)
	}
	return i.finish(ctx, history, keep, dir)
}

// ImportZip takes in the same of an archive, as GitHub's API and its pages give artifacts. An archive with an
// entry that no honest one has is refused as a whole. Nothing is unpacked to disk.
func ImportZip(ctx context.Context, history string, keep int, file string) (Import, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return Import{}, fmt.Errorf("open %s: %w: name a directory or a .zip with the report.json of runs in it", file, err)
	}
	defer func() { _ = archive.Close() }()
	if err := honest(archive.File); err != nil {
		return Import{}, fmt.Errorf("import %s: the archive is refused: %w", file, err)
	}
	i := importer{}
	for _, entry := range archive.File {
		if !wanted(path.Base(entry.Name)) || entry.FileInfo().IsDir() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return Import{}, context.Cause(ctx)
		}
		content, err := entry.Open()
		if err != nil {
			return Import{}, fmt.Errorf("import %s: %s: %w", file, plain.Line(entry.Name), err)
		}
		if err := errors.Join(i.take(entry.Name, content), content.Close()); err != nil {
			return Import{}, fmt.Errorf("import %s: %w", file, err)
		}
	}
	return i.finish(ctx, history, keep, file)
}

// honest refuses names that lead out of the archive, links and devices, names that are there twice, and bombs.
func honest(entries []*zip.File) error {
	if len(entries) > mostEntries {
		return fmt.Errorf("it has %d entries, more than %d", len(entries), mostEntries)
	}
	seen := map[string]bool{}
	var total uint64
	for _, entry := range entries {
		name, shown := entry.Name, plain.Line(entry.Name)
		mode := entry.Mode()
		total += entry.UncompressedSize64
		switch {
		case strings.ContainsAny(name, "\\\x00") || !filepath.IsLocal(strings.TrimSuffix(name, "/")):
			return fmt.Errorf("%q leads out of it", shown)
		case seen[path.Clean(name)]:
			return fmt.Errorf("%q is in it twice", shown)
		case !mode.IsRegular() && !mode.IsDir():
			return fmt.Errorf("%q is no file: %s", shown, mode.Type())
		case entry.Flags&1 != 0:
			return fmt.Errorf("%q is encrypted", shown)
		case wanted(path.Base(name)) && entry.UncompressedSize64 > longestReport:
			return fmt.Errorf("%q would have %d bytes, more than %d", shown, entry.UncompressedSize64, longestReport)
		case total > 16*mostBytes: // of everything: no run keeps that much
			return fmt.Errorf("it would have more than %d bytes", uint64(16*mostBytes))
		}
		seen[path.Clean(name)] = true
	}
	return nil
}

// importer gathers runs; nothing is written until all reports were read.
type importer struct {
	result  Import
	runs    []Run
	deploys []Deploy
	bytes   int64
}

func wanted(name string) bool { return name == reportName || name == DeploysName }

// take reads one report, or some deploys. One that is none is said and left out; only limits end the import.
func (i *importer) take(name string, content io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(content, longestReport+1))
	i.bytes += int64(len(b))
	deploys := path.Base(filepath.ToSlash(name)) == DeploysName
	if !deploys {
		i.result.Found++
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", plain.Line(name), err)
	case len(b) > longestReport || i.bytes > mostBytes:
		return fmt.Errorf("%s: the reports have too many bytes: at most %d each and %d in all", plain.Line(name), longestReport, mostBytes)
	case i.result.Found > mostReports:
		return fmt.Errorf("it has more than %d reports", mostReports)
	}
	if deploys {
		var found []Deploy
		found, err = handedOn(b)
		i.deploys = append(i.deploys, found...)
	} else {
		var run Run
		if run, err = fromReport(b); err == nil {
			i.runs = append(i.runs, run)
		}
	}
	if err != nil {
		i.result.Refused = append(i.result.Refused, fmt.Sprintf("%s: %v", text(name), err))
	}
	return nil
}

// finish appends the runs that the history does not have.
func (i *importer) finish(ctx context.Context, history string, keep int, source string) (Import, error) {
	if i.result.Found == 0 {
		return i.result, fmt.Errorf("import %s: there is no report.json in it: download the artifacts of a run first", source)
	}
	known, err := Read(history)
	if err != nil {
		return i.result, err
	}
	have := map[string]bool{}
	for _, run := range known.Runs {
		have[run.Run] = true
	}
	var lines []any
	for _, run := range i.runs {
		if have[run.Run] {
			i.result.Known++
			continue
		}
		have[run.Run] = true
		lines = append(lines, run)
	}
	i.result.Added = len(lines)
	if err := appendLines(ctx, history, keep, lines...); err != nil {
		return i.result, err
	}
	// A deploy is told by every later one of its environment, too: in the order in which they ended, each once.
	slices.SortStableFunc(i.deploys, func(a, b Deploy) int { return a.Finished.Compare(b.Finished) })
	i.result.Deploys, err = AppendDeploys(ctx, history, keep, i.deploys...)
	return i.result, err
}
