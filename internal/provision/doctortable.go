package provision

import (
	"fmt"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// Table renders the doctor's rows for a terminal of the given width: one line for each need, below it what is to be
// said and done, and at the end what follows from it all. It is pure.
func Table(rows []Row, width int) string {
	width = max(width, 60)
	state, need, version := 0, 0, 0
	for _, row := range rows {
		state = max(state, len(row.State))
		need = max(need, displaywidth.String(row.Need))
		version = max(version, displaywidth.String(row.Version))
	}
	var out strings.Builder
	indent := state + 2
	for _, row := range rows {
		line := pad(string(row.State), state) + "  " + pad(row.Need, need) + "  " + pad(row.Version, version) + "  " + row.Where
		line = strings.TrimRight(line, " ")
		if together := line + "  (" + row.Note + ")"; row.State == StateOK && row.Note != "" && displaywidth.String(together) <= width {
			out.WriteString(together + "\n")
			continue
		}
		out.WriteString(line + "\n")
		write(&out, row.Note, "", indent, width)
		if row.State != StateOK {
			write(&out, row.Remedy, "→ ", indent, width)
		}
	}
	out.WriteString("\n")
	write(&out, conclusion(rows), "", 0, width)
	return out.String()
}

// write breaks a text at spaces so that it fits beside its indent.
func write(out *strings.Builder, text, mark string, indent, width int) {
	if text == "" {
		return
	}
	line := strings.Repeat(" ", indent) + mark
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && displaywidth.String(line)+1+displaywidth.String(word) > width {
			out.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", indent+displaywidth.String(mark)), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	out.WriteString(line + "\n")
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-displaywidth.String(text)))
}

func conclusion(rows []Row) string {
	count := map[State]int{}
	for _, row := range rows {
		count[row.State]++
	}
	switch {
	case count[StateMissing] > 0:
		return fmt.Sprintf("%d of %d needs are missing: do what stands beside each, then run `mage doctor` again.", count[StateMissing], len(rows))
	case count[StateSetup] > 0:
		return fmt.Sprintf("Nothing is missing. %d of %d needs are made by `mage setup`, or by the first run.", count[StateSetup], len(rows))
	case count[StateWarning] > 0:
		return "Nothing is missing."
	default:
		return "Everything is there."
	}
}
