package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/dataset/contract"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/strict"
)

// A set is one data set: its contract, and where its file is.
type set struct {
	contract *contract.Contract
	path     string   // absolute; empty if a command makes the file
	shown    string   // as a person would name the file
	command  []string // makes the file, if it is not there by itself
	env      map[string]string
	skip     string // why it can't be judged here
}

func (s set) made() bool { return len(s.command) > 0 }

// sets is what the descriptors of a project come to.
type sets struct {
	project  *config.Project
	sets     []set
	findings []engine.Finding // descriptors that are wrong
	files    []string         // of descriptors
	failure  error            // the directory of the descriptors can't be read
	cores    int
}

// read loads every descriptor. What is wrong with one does not keep the others from being judged.
func read(p *config.Project, get func(string) string) *sets {
	all := &sets{project: p, cores: runtime.GOMAXPROCS(0)}
	entries, err := os.ReadDir(filepath.Join(p.Root, filepath.FromSlash(p.Data.Contracts)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		all.failure = fmt.Errorf("read %s: %w", p.Data.Contracts, err)
	}
	names := map[string]string{contracts: "a step of this stage", "all": "a target of this stage", "set": "a target of this stage"}
	for _, entry := range entries {
		if entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) {
			continue
		}
		file := path.Join(p.Data.Contracts, entry.Name())
		all.files = append(all.files, file)
		c, err := contract.Load(p.Root, file)
		if err != nil {
			all.findings = append(all.findings, problems(file, err)...)
			continue
		}
		if other, taken := names[c.Name]; taken {
			all.findings = append(all.findings, engine.Finding{
				Rule: "duplicate-name", Path: file, Line: 1, Message: fmt.Sprintf("the name %q is already that of %s", c.Name, other),
				Help: "give each data set a name of its own",
			})
			continue
		}
		names[c.Name] = file
		all.sets = append(all.sets, locate(p, c, get))
	}
	return all
}

// problems turns what is wrong with a descriptor into findings at its lines.
func problems(file string, err error) []engine.Finding {
	list, ok := errors.AsType[strict.Problems](err)
	if !ok {
		return []engine.Finding{{Rule: "descriptor", Path: file, Message: err.Error(), Help: "see docs/data-contracts.md"}}
	}
	var findings []engine.Finding
	for _, p := range list {
		findings = append(findings, engine.Finding{
			Rule: "descriptor", Path: p.File, Line: p.Line, Column: p.Column, Message: p.Message, Help: p.Remedy,
		})
	}
	return findings
}

// locate says where a data set's file is: in the project, in a directory that a variable names, or not yet made.
func locate(p *config.Project, c *contract.Contract, get func(string) string) set {
	s := set{contract: c, shown: c.Path, path: filepath.Join(p.Root, filepath.FromSlash(c.Path))}
	if made, ok := p.Data.Made[c.Name]; ok {
		s.command, s.env, s.path = made.Command, made.Env, ""
		s.shown = c.Name + ", as the command makes it,"
		return s
	}
	if c.DirectoryVariable == "" {
		return s
	}
	s.shown = "$" + c.DirectoryVariable + "/" + c.Path
	dir := get(c.DirectoryVariable)
	if dir == "" {
		s.skip = fmt.Sprintf("%s is not set: it names the directory of %s", c.DirectoryVariable, c.Path)
		return s
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(p.Root, dir)
	}
	s.path = filepath.Join(dir, filepath.FromSlash(c.Path))
	return s
}

// byName finds a data set, for foreign keys and targets.
func (all *sets) byName(name string) (set, bool) {
	i := slices.IndexFunc(all.sets, func(s set) bool { return s.contract.Name == name })
	if i < 0 {
		return set{}, false
	}
	return all.sets[i], true
}

// judge reports descriptors that are wrong, files without one, and commands for data sets that there are not.
func (all *sets) judge(ctx context.Context, _ engine.Scope) (engine.Judgement, error) {
	if all.failure != nil {
		return engine.Judgement{}, all.failure
	}
	if len(all.files) == 0 {
		return engine.Judgement{}, fmt.Errorf("no data set is declared: there is no descriptor in %s: write the first one with `mage data:infer FILE`", all.project.Data.Contracts)
	}
	j := engine.Judgement{Judged: len(all.files), Unit: "contracts", Findings: slices.Clone(all.findings)}
	orphans, err := all.orphans(ctx)
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Findings = append(j.Findings, orphans...)
	for name := range all.project.Data.Made {
		if _, ok := all.byName(name); !ok {
			j.Findings = append(j.Findings, engine.Finding{
				Rule: "no-contract", Path: config.FileName, Message: fmt.Sprintf("data.made names the data set %q, which has no contract", name),
				Help: "correct the name, or write a descriptor into " + all.project.Data.Contracts,
			})
		}
	}
	judged := 0
	for _, s := range all.sets {
		if s.skip == "" {
			judged++
		}
	}
	if judged == 0 && len(j.Findings) == 0 {
		return j, errors.New("no data set can be judged here: set the variables that the skipped ones name")
	}
	return j, nil
}

// orphans are data files that no contract describes.
func (all *sets) orphans(ctx context.Context) ([]engine.Finding, error) {
	described := map[string]bool{}
	for _, s := range all.sets {
		described[s.path] = true
	}
	var findings []engine.Finding
	for _, dir := range all.project.Data.Files {
		root := filepath.Join(all.project.Root, filepath.FromSlash(dir))
		err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			if entry.IsDir() || !isData(entry.Name()) || described[file] {
				return nil
			}
			relative, err := filepath.Rel(all.project.Root, file)
			if err != nil {
				return err
			}
			findings = append(findings, engine.Finding{
				Rule: "no-contract", Path: filepath.ToSlash(relative), Message: "no contract describes this file, so nothing of it is judged",
				Help: fmt.Sprintf("run `mage data:infer %s`, and review what it writes", filepath.ToSlash(relative)),
			})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for data files in %s: %w", dir, err)
		}
	}
	return findings, nil
}

// isData tells data files by their names: the text tables that a contract can describe.
func isData(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return slices.Contains([]string{".csv", ".tsv", ".psv", ".tab"}, filepath.Ext(name))
}
