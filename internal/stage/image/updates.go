package image

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
)

// updatesStep asks Debian, in a container of each image, for which of its packages a security update is out.
func (s *scanner) updatesStep() engine.Step {
	return s.step(updatesName, "pending security updates of Debian packages in images", []engine.Need{engine.NeedEngine}, s.updates)
}

// updatesScript asks by the image's own sources, whose signatures apt checks. Each part of the output has a line before
// it. A list that could not be fetched would be a warning only, and the old one would be used: so it is made an error.
const updatesScript = `set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
command -v apt-get >/dev/null || { echo "there is no apt-get in the image" >&2; exit 90; }
apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::AllowInsecureRepositories=false -q update >&2
echo "==> policy"
apt-cache policy
echo "==> upgrade"
apt-get -o Debug::NoLocking=true -o APT::Get::AllowUnauthenticated=false -o APT::Get::Always-Include-Phased-Updates=true -q --simulate --ignore-hold dist-upgrade
echo "==> end"
`

func (s *scanner) updates(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "Debian packages"}
	d := docker{scope}
	if err := d.sweep(ctx); err != nil {
		return engine.Judgement{}, err
	}
	var candidates []security.Candidate
	err := s.each(ctx, scope, func(image built, inventory *oci.Inventory) error {
		installed := 0
		sources := map[string]string{}
		for _, p := range inventory.Packages {
			if p.Manager == oci.Dpkg {
				installed++
				sources[p.Name] = p.Source
			}
		}
		if installed == 0 {
			return errors.New("no Debian package was found in it, so nobody knows which updates it lacks")
		}
		out, err := s.askApt(ctx, d, image)
		if err != nil {
			return err
		}
		pending, err := parseUpdates(out)
		if err != nil {
			return err
		}
		for _, u := range pending.security {
			candidates = append(candidates, u.candidate(image, sources[u.name]))
		}
		if pending.kept > 0 {
			j.Warnings = append(j.Warnings, fmt.Sprintf("%s: apt would keep %s back as they are, and it was not judged which updates they lack", image.Name, python.Count(pending.kept, "package")))
		}
		j.Judged += installed
		j.Notes = append(j.Notes, fmt.Sprintf("%s: %s of Debian, %s pending, %s pending, by %s", image.Name, python.Count(installed, "package"),
			python.Count(len(pending.security), "security update"), python.Count(pending.other, "other update"), python.List(pending.suites, 3)))
		return nil
	})
	if err != nil {
		return engine.Judgement{}, err
	}
	security.Judge{Project: s.project, Today: s.today, As: security.ImageUpdates}.Allow("", candidates, &j)
	return j, nil
}

// askApt runs the script in a container that is thrown away. It is root there and may write, as apt must.
func (s *scanner) askApt(ctx context.Context, d docker, image built) (out engine.Output, err error) {
	id, err := d.load(ctx, image)
	if err != nil {
		return out, err
	}
	container, labels := d.container(updatesName, image.Name)
	args := append([]string{"run", "--rm", "--pull", "never", "--name", container, "--user", "0", "--entrypoint", "/bin/sh", "--no-healthcheck", "--memory", "1g", "--pids-limit", "200"}, labels...)
	defer func() { err = errors.Join(err, d.remove(ctx, container)) }()
	return d.scope.Run(ctx, engine.Invocation{Program: "docker", Args: append(args, id, "-c", updatesScript)})
}

// pendingUpdates is what apt would install.
type pendingUpdates struct {
	security []update
	other    int
	kept     int      // that apt would not install, whatever they are
	suites   []string // of security updates, that the image's sources name
}

type update struct {
	name, old, new, suite string
}

var (
	// instLine is one of apt's: Inst libssl3 [3.0.15-1~deb12u1] (3.0.17-1~deb12u2 Debian-Security:12/stable-security [amd64])
	instLine = regexp.MustCompile(`^Inst (\S+) (?:\[([^\]]+)\] )?\((\S+) ([^)]*)\)`)
	// releaseLine is one of apt-cache's about a source: release v=12,o=Debian,a=stable-security,n=bookworm-security,l=Debian-Security,c=main
	releaseLine   = regexp.MustCompile(`^\s+release (.*)$`)
	securitySuite = regexp.MustCompile(`(?i)(?:^|[^a-z])security(?:$|[^a-z])`)
	aptSummary    = regexp.MustCompile(`^\d+ upgraded, .* (\d{1,9}) not upgraded\.`)
	aptTrouble    = regexp.MustCompile(`(?m)^(?:E:|W: (?:Failed to fetch|Some index files failed|GPG error|An error occurred|The repository)).*$`)
)

// parseUpdates goes by the marks that the script writes. That apt could not ask is never "nothing is pending".
func parseUpdates(out engine.Output) (pendingUpdates, error) {
	var p pendingUpdates
	if m := aptTrouble.Find(out.Stderr); m != nil {
		return p, fmt.Errorf("apt could not ask for updates: %s", python.Shorten(plain.Line(string(m)), 300))
	}
	if out.ExitCode != 0 {
		return p, fmt.Errorf("ask for updates in a container: exit code %d: %s", out.ExitCode, python.LastLine(out.Stderr, out.Stdout))
	}
	policy, rest, ok := bytes.Cut(out.Stdout, []byte("==> upgrade\n"))
	upgrade, _, ended := bytes.Cut(rest, []byte("==> end\n"))
	if !ok || !ended || !bytes.Contains(policy, []byte("==> policy\n")) {
		return p, errors.New("ask for updates in a container: apt's answer is not whole")
	}
	if p.suites = securitySuites(policy); len(p.suites) == 0 {
		return p, errors.New("no source of apt in the image gives security updates, so nobody knows which are pending: " +
			"name the security suite in /etc/apt/sources.list.d of what the image is built from")
	}
	summary := false
	for line := range strings.Lines(string(upgrade)) {
		if m := aptSummary.FindStringSubmatch(line); m != nil {
			summary = true
			p.kept, _ = strconv.Atoi(m[1]) // they are digits
		}
		m := instLine.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case m == nil && strings.HasPrefix(line, "Inst "):
			return p, fmt.Errorf("ask for updates in a container: apt's line %q can't be read", python.Shorten(plain.Line(line), 200))
		case m == nil:
		case securitySuite.MatchString(m[4]):
			p.security = append(p.security, update{m[1], m[2], m[3], m[4]})
		default:
			p.other++
		}
	}
	if !summary {
		return p, errors.New("ask for updates in a container: apt's answer has no summary")
	}
	return p, nil
}

// securitySuites lists the suites of security updates that apt has lists of.
func securitySuites(policy []byte) []string {
	var suites []string
	seen := map[string]bool{}
	for line := range strings.Lines(string(policy)) {
		m := releaseLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			continue
		}
		values := map[string]string{}
		for pair := range strings.SplitSeq(m[1], ",") {
			key, value, _ := strings.Cut(pair, "=")
			values[key] = value
		}
		name := plain.Line(values["n"])
		if name == "" {
			name = plain.Line(values["a"])
		}
		if securitySuite.MatchString(values["l"]+" "+values["a"]+" "+values["n"]) && !seen[name] {
			seen[name] = true
			suites = append(suites, name)
		}
	}
	return suites
}

func (u update) candidate(image built, source string) security.Candidate {
	installed := u.name
	if u.old != "" {
		installed += " " + u.old
	}
	return security.Candidate{
		Package: u.name,
		Finding: engine.Finding{
			Rule: "security-update", Severity: engine.SeverityHigh, Path: image.config.Dockerfile,
			Message: plain.Line(fmt.Sprintf("image %s: %s has a security update pending: %s (%s)", image.Name, installed, u.new, u.suite)),
			Help: "take a newer base image (image.base of pipeline.yaml) and build again; if it is not out yet, let the Dockerfile's base stage " +
				"install the update, or allow it in pipeline.yaml with a reason and a date",
			HelpURL: "https://security-tracker.debian.org/tracker/source-package/" + escape(cmp.Or(source, u.name)),
		},
	}
}
