package workflow

import "time"

// Maintenance is what runs by the calendar.
func Maintenance() Workflow {
	w := Workflow{
		Name:  "maintenance",
		About: "What runs by the calendar: the settings of the repository against .github/rulesets, and the reports.",
		Triggers: []string{
			"schedule:", "  - cron: '0 5 * * 1' # Monday at 5", "  - cron: '0 6 1 * *' # the first of each month",
			"  - cron: '0 7 1 1,4,7,10 *' # the first of each quarter",
			"workflow_dispatch:",
		},
		Concurrency: Concurrency{Group: "maintenance", Cancel: "false"},
	}
	w.Jobs = []Job{{
		ID: "rules", Target: "ci:rules", Permissions: []string{"actions: read # the environments", readContents}, Token: true, Timeout: slack,
		About: "says what the settings of the repository lack; the job's token may read rules and change none",
		If:    onCalendar("0 5 * * 1"),
	}}
	for _, period := range [][2]string{{"weekly", "0 5 * * 1"}, {"monthly", "0 6 1 * *"}, {"quarterly", "0 7 1 1,4,7,10 *"}} {
		w.Jobs = append(w.Jobs, Job{
			ID: period[0], Target: "report:" + period[0], If: onCalendar(period[1]), Token: true, Timeout: time.Hour,
			About:       "opened as an issue, from the reports that earlier runs have left as artifacts",
			Before:      []string{"ci:history"},
			After:       `gh issue create --title "$TITLE" --body-file "$MARKDOWN"`,
			Permissions: []string{"actions: read # the reports of earlier runs", readContents, "issues: write # the report"},
		})
	}
	return w
}

func onCalendar(cron string) string {
	return "github.event_name == 'workflow_dispatch' || github.event.schedule == '" + cron + "'"
}
