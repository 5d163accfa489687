package engine

import "github.com/meter-ml/meter-pipeline/internal/plain"

// safe takes escape sequences and secrets out of everything in a judgement that came from a tool.
func safe(j *Judgement, mask *plain.Mask) {
	text := func(s *string) { *s = mask.String(plain.Text(*s)) }
	line := func(s *string) { *s = mask.String(plain.Line(*s)) }
	finding := func(f *Finding) {
		text(&f.Message)
		text(&f.Help)
		for _, s := range []*string{&f.Rule, &f.Path, &f.HelpURL, &f.Frame, &f.Fingerprint} {
			line(s)
		}
	}
	line(&j.Unit)
	for i := range j.Findings {
		finding(&j.Findings[i])
	}
	for i := range j.Allowed {
		finding(&j.Allowed[i].Finding)
		line(&j.Allowed[i].Reason)
	}
	for i := range j.Metrics {
		line(&j.Metrics[i].Name)
		line(&j.Metrics[i].Unit)
		text(&j.Metrics[i].Help)
	}
	for i := range j.Notes {
		text(&j.Notes[i])
	}
	for i := range j.Warnings {
		text(&j.Warnings[i])
	}
	for t := range j.Tables {
		line(&j.Tables[t].Title)
		for c := range j.Tables[t].Columns {
			line(&j.Tables[t].Columns[c])
		}
		for s := range j.Tables[t].Spreads {
			line(&j.Tables[t].Spreads[s].Low)
			line(&j.Tables[t].Spreads[s].High)
		}
		for r := range j.Tables[t].Rows {
			for c := range j.Tables[t].Rows[r] {
				line(&j.Tables[t].Rows[r][c])
			}
		}
	}
}
