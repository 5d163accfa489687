package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/report"
	"github.com/meter-ml/meter-pipeline/internal/rollout"
	"github.com/meter-ml/meter-pipeline/internal/rollout/agent/wire"
	"github.com/meter-ml/meter-pipeline/internal/rollout/remote"
	"github.com/meter-ml/meter-pipeline/internal/rollout/view"
	"github.com/meter-ml/meter-pipeline/internal/stage/deploy"
)

// DeployStatus prints what serves, what is under way, and the last alerts.
func DeployStatus(environment string, asJSON bool) Action {
	return func(ctx context.Context, s *Session) error {
		target, err := s.target(environment)
		if err != nil {
			return err
		}
		status, err := target.Status(ctx)
		if err != nil {
			return absent(err)
		}
		if asJSON {
			return s.printJSON(status)
		}
		return s.print(strings.Join(statusLines(status, s.Host.Now()), "\n") + "\n")
	}
}

func statusLines(status wire.Status, now time.Time) []string {
	lines := view.Panel(status, now)
	if last := status.Last; last != nil {
		lines = append(lines, fmt.Sprintf("last: %s, %s to %s, %s ago: %s", last.ID, last.Kind, report.Line(orNothing(last.Target)),
			now.Sub(last.Ended).Round(time.Second), report.Line(last.Reason)))
	}
	if len(status.Previous) > 0 {
		lines = append(lines, "it can go back to: "+report.Line(strings.Join(status.Previous, ", ")))
	}
	if len(status.Waiting) > 0 {
		lines = append(lines, fmt.Sprintf("orders that wait: %d", len(status.Waiting)))
	}
	for _, alert := range status.Alerts {
		lines = append(lines, fmt.Sprintf("alert of %s: %s: %s", alert.Time.UTC().Format(time.RFC3339), alert.Name, report.Line(alert.Summary)))
	}
	return append(lines, fmt.Sprintf("agent %s leads (epoch %d); the audit log has %d entries", report.Line(status.Lease.Holder), status.Lease.Epoch, status.Audit.Sequence))
}

func orNothing(release string) string {
	if release == "" {
		return "nothing"
	}
	return release
}

// DeployAsk asks a roll-out under way to abort, pause, resume or promote.
func DeployAsk(environment string, action rollout.Action, reason string) Action {
	return func(ctx context.Context, s *Session) error {
		target, err := s.target(environment)
		if err != nil {
			return err
		}
		if reason == "" {
			reason = "asked for by hand"
		}
		said, err := target.Request(ctx, action, s.actor(), reason)
		if err != nil {
			return absent(err)
		}
		if said != "" {
			s.say("%s", report.Line(said))
		}
		s.say("asked %s to %s: `mage deploy:status -env=%s` shows what comes of it", environment, action, environment)
		return nil
	}
}

// absent gives what is no fault of this program its exit code.
func absent(err error) error {
	if errors.Is(err, remote.ErrRefused) {
		return &Exit{Code: engine.ExitFailed, Message: err.Error()}
	}
	return err
}

// A HistoryRequest asks for what was deployed.
type HistoryRequest struct {
	Environment string
	Most        int
	Verify      bool // the chain of the audit log, against its anchor in the registry
	JSON        bool
	Verbose     bool // with phases
}

// DeployHistory prints what was deployed, or verifies the audit log.
func DeployHistory(r HistoryRequest) Action {
	return func(ctx context.Context, s *Session) error {
		target, err := s.target(r.Environment)
		if err != nil {
			return err
		}
		if r.Verify {
			return s.verifyAudit(ctx, target, r.Environment)
		}
		if r.Most <= 0 {
			r.Most = 20
		}
		all, err := target.History(ctx, r.Most)
		if err != nil {
			return absent(err)
		}
		if r.JSON {
			if all == nil {
				all = []wire.Deployment{}
			}
			return s.printJSON(all)
		}
		return s.print(historyText(all, r.Verbose))
	}
}

func historyText(all []wire.Deployment, verbose bool) string {
	if len(all) == 0 {
		return "nothing was deployed yet\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, tableGap, ' ', 0)
	_, _ = fmt.Fprintln(w, "BEGAN\tROLL-OUT\tKIND\tRELEASE\tBY\tTOOK\tEND\tWHY") // a Builder takes everything
	for _, d := range all {
		end := string(d.State)
		if end == "" {
			end = "under way"
		}
		if d.BrokeGlass {
			end += ", glass broken"
		}
		why := d.Reason
		if d.Failure != "" {
			why = d.Failure
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Began.UTC().Format("2006-01-02 15:04:05"), d.Roll, d.Kind, report.Line(d.Release),
			report.Line(d.Actor), time.Duration(d.Seconds*float64(time.Second)).Round(100*time.Millisecond), end, report.Line(why))
		if verbose {
			for _, phase := range d.Phases {
				_, _ = fmt.Fprintf(w, "\t\t\t%s\t\t%.1f s\t\t\n", report.Line(phase.Phase), phase.Seconds)
			}
		}
	}
	_ = w.Flush()
	return b.String()
}

// verifyAudit holds the audit log against what was kept of it elsewhere. A damaged one is exit code 1.
func (s *Session) verifyAudit(ctx context.Context, target *remote.Target, environment string) error {
	client, err := s.registry()
	if err != nil {
		return err
	}
	anchor, there, err := deploy.Anchored(ctx, client, deploy.AnchorRepository(s.Project, s.Host.Get("METER_REGISTRY")), environment)
	if err != nil {
		return err
	}
	if !there {
		s.say("warning: the registry has no anchor of this audit log: that it was cut at its end would not show")
	}
	said, err := target.Verify(ctx, anchor.Head)
	if said != "" {
		if printErr := s.print(said + "\n"); printErr != nil {
			return printErr
		}
	}
	return absent(err)
}

func (s *Session) printJSON(value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return s.print(string(content) + "\n")
}
