package report

import "github.com/meter-ml/meter-pipeline/internal/engine"

// A File is the findings about one file, which a person mends together.
type File struct {
	Path  string // empty for findings about no file
	Rules []Rule
}

// A Rule is the findings of one rule in one file: what they have in common is said once.
type Rule struct {
	ID       string
	Severity engine.Severity
	Message  string // if all findings have the same, else empty
	Help     string // of the first that has one
	HelpURL  string
	Findings []engine.Finding
}

// ByFile groups findings by file, and in a file by rule. Files and rules come in the order of their first finding.
func ByFile(findings []engine.Finding) []File {
	var files []File
	fileAt := map[string]int{}
	type key struct {
		path, rule string
		severity   engine.Severity
	}
	ruleAt := map[key]int{}
	for _, f := range findings {
		i, ok := fileAt[f.Path]
		if !ok {
			i = len(files)
			fileAt[f.Path] = i
			files = append(files, File{Path: f.Path})
		}
		k := key{f.Path, f.Rule, f.Severity}
		j, ok := ruleAt[k]
		if !ok {
			j = len(files[i].Rules)
			ruleAt[k] = j
			files[i].Rules = append(files[i].Rules, Rule{ID: f.Rule, Severity: f.Severity, Message: f.Message})
		}
		files[i].Rules[j].add(f)
	}
	return files
}

func (r *Rule) add(f engine.Finding) {
	r.Findings = append(r.Findings, f)
	if f.Message != r.Message {
		r.Message = ""
	}
	if r.Help == "" {
		r.Help = f.Help
	}
	if r.HelpURL == "" {
		r.HelpURL = f.HelpURL
	}
}
