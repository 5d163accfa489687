package trend

import (
	"slices"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/history"
	"github.com/meter-ml/meter-pipeline/internal/statistics"
)

// DORA are the five figures of software delivery, as https://dora.dev/guides/dora-metrics/ defines them, of one
// environment in one span of time. A figure without data has a count of zero.
type DORA struct {
	Environment string
	From, To    time.Time

	Deploys   int           // that users saw: done, or rolled back
	Aborted   int           // that failed before users saw them: no figure counts them
	PerWeek   float64       // deployment frequency
	LeadTime  time.Duration // change lead time: median, from the oldest new commit to done
	Leads     int           // deploys of which it is known
	Failed    int           // that were rolled back, or that a later one had to mend
	FailShare float64       // change fail rate
	Recovery  time.Duration // failed-deployment recovery time: median, until users were served well again
	Recovered int           // failures that are over
	Reworks   int           // that nobody had planned
	ReworkOf  float64       // deployment rework rate
}

const week = 7 * 24 * time.Hour

// Figures of the deploys into one environment that ended between two times.
func Figures(deploys []history.Deploy, environment string, from, to time.Time) DORA {
	d := DORA{Environment: environment, From: from, To: to}
	var leads, recoveries []float64
	for i, deploy := range deploys {
		if deploy.Environment != environment || deploy.Finished.Before(from) || deploy.Finished.After(to) {
			continue
		}
		if deploy.Status == history.DeployFailed {
			d.Aborted++
			continue
		}
		d.Deploys++
		if deploy.Rework {
			d.Reworks++
		}
		if deploy.Status == history.DeployDone && !deploy.Committed.IsZero() && !deploy.Committed.After(deploy.Finished) {
			leads = append(leads, deploy.Finished.Sub(deploy.Committed).Seconds())
		}
		if took, failed := recovery(deploys[i:]); failed {
			d.Failed++
			recoveries = append(recoveries, took.Seconds())
		}
	}
	if weeks := to.Sub(from).Hours() / week.Hours(); weeks > 0 {
		d.PerWeek = float64(d.Deploys) / weeks
	}
	if d.Deploys > 0 {
		d.FailShare = float64(d.Failed) / float64(d.Deploys)
		d.ReworkOf = float64(d.Reworks) / float64(d.Deploys)
	}
	d.LeadTime, d.Leads = median(leads), len(leads)
	d.Recovery, d.Recovered = median(recoveries), len(recoveries)
	return d
}

// recovery reports whether the first of these deploys failed, and how long users were served badly: until its rollback
// was over, or until a later one had mended it.
func recovery(deploys []history.Deploy) (time.Duration, bool) {
	first := deploys[0]
	if first.Status == history.DeployRolledBack {
		return first.Finished.Sub(first.Started), true
	}
	at := slices.IndexFunc(deploys, func(d history.Deploy) bool {
		return d.Environment == first.Environment && d.Status == history.DeployDone && d.Recovers == first.Release
	})
	if at < 0 {
		return 0, false
	}
	return deploys[at].Finished.Sub(first.Finished), true
}

func median(seconds []float64) time.Duration {
	if len(seconds) == 0 {
		return 0
	}
	return time.Duration(statistics.Median(seconds) * float64(time.Second))
}

// Environments that there are deploys into, production first, then staging, then by name.
func Environments(deploys []history.Deploy) []string {
	var names []string
	for _, d := range deploys {
		if !slices.Contains(names, d.Environment) {
			names = append(names, d.Environment)
		}
	}
	slices.Sort(names)
	first := []string{"production", "staging"}
	slices.SortStableFunc(names, func(a, b string) int {
		return place(first, a) - place(first, b)
	})
	return names
}

func place(first []string, name string) int {
	if at := slices.Index(first, name); at >= 0 {
		return at
	}
	return len(first)
}
