package dataset

import (
	"github.com/meter-ml/meter-pipeline/internal/dataset/records"
)

// judgeForm makes findings of the places where the block is no well-formed text of comma-separated values. They are
// counted by rule only, since records counts them so.
func (w *worker) judgeForm() {
	for kind, n := range w.block.Counts {
		rule, _ := formRule(kind)
		if rule != "" {
			w.part.findings.counts[about{rule: rule}] += int64(n)
		}
	}
	added := map[string]int{}
	for _, problem := range w.block.Problems {
		rule, help := formRule(problem.Kind)
		if rule == "" || added[rule] >= w.keep {
			continue
		}
		added[rule]++
		found := Finding{Rule: rule, Line: int64(problem.Line) + 1, Message: problem.Detail, Help: help}
		if problem.Record < w.block.Records {
			found.Row = int64(w.block.Row(problem.Record)) + 1
			if problem.Cell < w.block.Cells(problem.Record) {
				found.Value = shown(w.block.Cell(problem.Record, problem.Cell))
			}
		}
		if kindOfCell(problem.Kind) {
			found.Field = problem.Cell + 1
		}
		w.part.findings.add(found)
	}
}

func kindOfCell(kind records.Kind) bool {
	switch kind {
	case records.ByteOrderMark, records.BlankRow, records.LoneCR:
		return false
	default:
		return true
	}
}

// formRule is the rule that a problem breaks, and what to do. Blank rows are found otherwise: they may have delimiters.
func formRule(kind records.Kind) (rule, help string) {
	switch kind {
	case records.BareQuote, records.UnterminatedQuote, records.TextAfterQuote, records.TrailingEscape:
		return RuleQuote, "put the whole cell in quotes, and write each quote in it twice"
	case records.LoneCR:
		return RuleLineEnd, "end each line with \\n or \\r\\n"
	case records.NUL:
		return RuleNUL, "see what wrote the file: text has no zero bytes"
	case records.Encoding:
		return RuleEncoding, "write the file in the encoding that the contract declares, or declare the one that it has"
	case records.TooLong:
		return RuleTooLong, "see whether a quote is missing at the end of a cell"
	case records.ByteOrderMark:
		return RuleByteOrderMark, "declare the encoding utf-8-sig, or write the file without the mark"
	default:
		return "", ""
	}
}
