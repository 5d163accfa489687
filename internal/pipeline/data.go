package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/meter-ml/meter-pipeline/internal/dataset"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/dataset/infer"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/stage/data"
)

// DataProfile prints the columns of a file. It needs no contract: types are inferred, and nothing is judged.
func DataProfile(file string) Action {
	return func(ctx context.Context, s *Session) error {
		text, where, err := s.inferred(ctx, file)
		if err != nil {
			return err
		}
		c, err := contract.Decode(file, []byte(text))
		if err != nil {
			return fmt.Errorf("infer the types of %s: %w", file, err)
		}
		result, err := dataset.Validate(ctx, c, where.path, dataset.Options{Root: s.Project.Root, Now: s.Host.Now()})
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		return s.print(profileText(file, result, s.Host.Room()))
	}
}

// profileText is a table, a line a column. On a terminal that is too narrow, it leaves out what is least missed.
func profileText(file string, r *dataset.Result, columns int) string {
	table := data.Columns(r.Profile, nil)
	for i, row := range table.Rows {
		table.Rows[i] = append(row, report.Bars(halved(table.Spreads[i].Shares)))
	}
	table.Columns = append(table.Columns, "distribution")
	for _, name := range []string{"mean", "5 %", "95 %", "type", "distinct", "distribution", "missing"} {
		if columns == 0 || tableWidth(table) < columns {
			break
		}
		at := slices.Index(table.Columns, name)
		table.Columns = slices.Delete(table.Columns, at, at+1)
		for i := range table.Rows {
			table.Rows[i] = slices.Delete(table.Rows[i], at, at+1)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d rows, %d columns, %d bytes\n\n", report.Line(file), r.Rows, len(r.Profile.Columns), r.Bytes)
	w := tabwriter.NewWriter(&b, 0, 0, tableGap, ' ', 0)
	for _, row := range append([][]string{table.Columns}, table.Rows...) {
		for i := range row {
			row[i] = report.Line(row[i])
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // a Builder takes everything
	}
	_ = w.Flush()
	return b.String()
}

// halved joins each two bins of a long picture.
func halved(shares []float64) []float64 {
	if len(shares) < 30 {
		return shares
	}
	var half []float64
	for pair := range slices.Chunk(shares, 2) {
		sum := 0.0
		for _, share := range pair {
			sum += share
		}
		half = append(half, sum)
	}
	return half
}

// tableGap is between columns, in characters.
const tableGap = 2

func tableWidth(t engine.Table) int {
	total := 0
	for i, head := range t.Columns {
		widest := utf8.RuneCountInString(head)
		for _, row := range t.Rows {
			widest = max(widest, utf8.RuneCountInString(row[i]))
		}
		total += widest + tableGap
	}
	return total - tableGap
}

// DataInfer writes a first contract, and never over one that is there.
func DataInfer(file string) Action {
	return func(ctx context.Context, s *Session) error {
		text, where, err := s.inferred(ctx, file)
		if err != nil {
			return err
		}
		shown := path.Join(s.Project.Data.Contracts, where.name+".yaml")
		target := filepath.Join(s.Project.Root, filepath.FromSlash(shown))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("write %s: %w", shown, err)
		}
		out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it is committed, and no secret
		if errors.Is(err, fs.ErrExist) {
			return &Exit{Code: engine.ExitUsage, Message: shown + " is there already, and was left as it is: remove it to begin anew"}
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", shown, err)
		}
		_, err = out.WriteString(text)
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("write %s: %w", shown, err)
		}
		s.say("wrote %s: go through the lines marked `# review:`, then run mage data:set %s", shown, where.name)
		if where.variable != "" {
			s.say("the file is outside of this project: set %s to its directory, or copy the file and correct its path", where.variable)
		}
		return nil
	}
}

// elsewhere is the variable of a contract whose file is not in the project.
const elsewhere = "DATA_DIR"

// A place is a file that a person named, and what a contract calls it.
type place struct{ path, name, inContract, variable string }

// locate finds the file, and refuses what can't be one.
func (s *Session) locate(file string) (place, error) {
	where := place{path: file}
	if !filepath.IsAbs(where.path) {
		where.path = filepath.Join(s.Project.Root, where.path)
	}
	info, err := os.Stat(where.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return place{}, &Exit{Code: engine.ExitUsage, Message: fmt.Sprintf("there is no file %s: name it relative to the project, or by its whole path", file)}
	case err != nil:
		return place{}, fmt.Errorf("look at %s: %w", file, err)
	case info.IsDir():
		return place{}, &Exit{Code: engine.ExitUsage, Message: file + " is a directory: name one file of data"}
	}
	base := strings.TrimSuffix(filepath.Base(where.path), ".gz")
	where.name = regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(strings.ToLower(strings.TrimSuffix(base, filepath.Ext(base))), "-")
	where.inContract, where.variable = filepath.Base(where.path), elsewhere
	if relative, err := filepath.Rel(s.Project.Root, where.path); err == nil && filepath.IsLocal(relative) {
		where.inContract, where.variable = filepath.ToSlash(relative), ""
	}
	return where, nil
}

// inferred is the text of a first contract for a file that a person names.
func (s *Session) inferred(ctx context.Context, file string) (string, place, error) {
	where, err := s.locate(file)
	if err != nil {
		return "", place{}, err
	}
	text, err := infer.Infer(ctx, where.path, infer.Options{Name: where.name, Path: where.inContract, DirectoryVariable: where.variable})
	if err != nil {
		return "", place{}, &Exit{Code: engine.ExitUsage, Message: err.Error()}
	}
	return text, where, nil
}
