package dataset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// judgeHeader compares the labels with the fields by their order, as frictionless does: each label must be the name of
// the field at its place. It also says how many cells a row must have: as many as there are labels, so that a column too
// many or too few is told once and not for each row.
func (p *plan) judgeHeader(s *stream, f *findings) {
	labels := s.header
	names := make([]string, len(labels))
	for i, label := range labels {
		names[i] = string(bytes.TrimSpace(label))
	}
	if len(labels) == 1 && len(labels[0]) == 0 { // a blank line
		names = nil
	}
	for i, name := range names {
		if found := p.judgeLabel(i, names, name); found.Rule != "" {
			found.Field, found.Row, found.Line, found.Value = i+1, s.row, s.line, shown(labels[i])
			f.say(found)
		}
	}
	for i := len(names); i < len(p.columns); i++ {
		field := p.columns[i].field.Name
		f.say(Finding{
			Rule: RuleMissingLabel, Column: field, Field: i + 1, Row: s.row, Line: s.line,
			Message: fmt.Sprintf("the header has no column %q", field), Help: "add the column, or take the field out of the contract",
		})
	}
	if len(names) > 0 {
		p.width = len(names)
		p.judged = min(p.width, len(p.columns))
	}
}

// judgeLabel returns what is wrong with the i-th label, without its place; nothing if it has no rule.
func (p *plan) judgeLabel(i int, names []string, name string) Finding {
	label := shown([]byte(name))
	if i >= len(p.columns) {
		return Finding{
			Rule: RuleExtraLabel, Message: fmt.Sprintf("column %d, %q, is not in the contract", i+1, label),
			Help: "remove the column, or add a field to the contract",
		}
	}
	found := Finding{Column: p.columns[i].field.Name}
	earlier := slices.Index(names[:i], name)
	switch {
	case name == "":
		found.Rule = RuleBlankLabel
		found.Message = fmt.Sprintf("column %d has no label, the contract calls it %q", i+1, found.Column)
		found.Help = "label the column"
	case earlier >= 0:
		found.Rule = RuleDuplicateLabel
		found.Message = fmt.Sprintf("column %d has the label of column %d, %q", i+1, earlier+1, label)
		found.Help = "give each column a label of its own"
	case name != found.Column:
		found.Rule = RuleIncorrectLabel
		found.Message = fmt.Sprintf("column %d is labelled %q, the contract calls it %q", i+1, label, found.Column)
		found.Help = "rename one of the two"
		if j := p.column(name); j != nil {
			found.Help = fmt.Sprintf("the contract has %q as column %d: put the columns in its order", name, j.index+1)
		}
		if strings.EqualFold(name, found.Column) {
			found.Help = "rename one of the two: upper and lower case differ"
		}
	}
	return found
}
