package gather

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// problems are the jobs that did not succeed and whose reports do not say why, so that nobody takes a report that is
// missing for a stage that passed.
func (j Jobs) problems(stages []engine.StageResult) (problems []string, status engine.Status) {
	status = engine.StatusSkipped
	explained := false
	for _, stage := range stages {
		explained = explained || stage.Status == engine.StatusFailed || stage.Status == engine.StatusError
	}
	for _, name := range slices.Sorted(maps.Keys(j)) {
		switch result := j[name].Result; result {
		case "skipped":
		case "success":
			if isStage(name) && !slices.ContainsFunc(stages, func(s engine.StageResult) bool { return s.Name == name }) {
				problems = append(problems, fmt.Sprintf("the job %q succeeded, and no report says what it judged", name))
				status = engine.StatusError
			}
		case "failure":
			status = worse(status, engine.StatusFailed)
			own := slices.ContainsFunc(stages, func(s engine.StageResult) bool {
				return s.Name == name && (s.Status == engine.StatusFailed || s.Status == engine.StatusError)
			})
			if !own && !explained {
				problems = append(problems, fmt.Sprintf("the job %q failed, and no report says why", name))
				status = engine.StatusError
			}
		default: // cancelled, or a word that is not known
			problems = append(problems, fmt.Sprintf("the job %q was not finished: %s", name, result))
			status = engine.StatusError
		}
	}
	return problems, status
}

// isStage tells jobs that judge from those that prepare.
func isStage(name string) bool {
	return name != "notify" && slices.Contains(config.StageNames(), name)
}
