package workflowtest

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/rhysd/actionlint"
)

// Walk goes through a workflow as GitHub does: a job whose needs are over is judged by its condition, in the order of the
// file. Do runs one, with what became of those that it needs, and says what became of it.
func Walk(t testing.TB, jobs map[string]*actionlint.Job, contexts map[string]any, do func(id string, needs map[string]any) string) map[string]string {
	t.Helper()
	result := map[string]string{}
	ids := slices.SortedFunc(maps.Keys(jobs), func(a, b string) int { return cmp.Compare(jobs[a].Pos.Line, jobs[b].Pos.Line) })
	for len(result) < len(jobs) {
		before := len(result)
		for _, id := range ids {
			if result[id] != "" || !over(jobs[id], result) {
				continue
			}
			e := &Evaluator{T: t, Contexts: contexts, Status: ancestors(jobs, id, result)}
			if result[id] = "skipped"; e.Goes(jobs[id].If) {
				result[id] = do(id, needs(jobs[id], result))
			}
		}
		if len(result) == before {
			t.Fatal("jobs wait for each other")
		}
	}
	return result
}

func over(job *actionlint.Job, result map[string]string) bool {
	return !slices.ContainsFunc(job.Needs, func(need *actionlint.String) bool { return result[need.Value] == "" })
}

// needs is the context of that name.
func needs(job *actionlint.Job, result map[string]string) map[string]any {
	all := map[string]any{}
	for _, need := range job.Needs {
		all[need.Value] = map[string]any{"result": result[need.Value], "outputs": map[string]any{}}
	}
	return all
}

// ancestors are all jobs before one: status functions look at the whole chain.
func ancestors(jobs map[string]*actionlint.Job, id string, result map[string]string) map[string]string {
	all := map[string]string{}
	for _, need := range jobs[id].Needs {
		all[need.Value] = result[need.Value]
		maps.Copy(all, ancestors(jobs, need.Value, result))
	}
	return all
}
