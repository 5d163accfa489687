package stack

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The system from its images of this tree: up, asked, looked through, and broken in three places.
func TestEngineStack(t *testing.T) {
	s := newSite(t)
	begin := time.Now()
	lap := func(what string) {
		t.Logf("%s: %.1f s", what, time.Since(begin).Seconds())
		begin = time.Now()
	}
	built := s.build()
	_, digest, _ := strings.Cut(built["model_api"], "@")
	for name, value := range map[string]string{
		"AIRFLOW_IMAGE": built["airflow"], "MLFLOW_IMAGE": built["mlflow"], "MODEL_API_BLUE_IMAGE": built["model_api"],
		"MODEL_API_BLUE_DIGEST": digest, "MODEL_API_BLUE_RELEASE": "v1", "SMOKE_IMAGE": built["model_api"], "SMOKE_DIGEST": digest,
	} {
		s.values[name] = value
	}
	lap("images built, pushed and pulled")
	s.once("migrate")
	s.once("airflow-migrate", "mlflow-migrate")
	lap("migrated")
	s.up()
	lap("healthy")
	if code, statuses := s.smoke(nil); code != 0 || len(statuses) != 6 {
		t.Fatalf("smoke of a sound system: exit code %d, %v", code, statuses)
	}
	lap("asked")
	t.Run("is hardened", s.hardened)
	t.Run("holds no secret", s.holdsNoSecret)
	t.Run("counts no health check as a request", s.countsNoHealthCheck)
	lap("looked through")
	t.Run("tells what is broken", s.tellsWhatIsBroken)
	lap("broken")
	t.Run("takes new passwords", s.takesNewPasswords)
	lap("passwords changed")
}

// up starts all that stays, and waits until it is healthy.
func (s *site) up() {
	s.Helper()
	out, code := s.compose("up", "--detach", "--no-deps", "mlflow", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "model-api-blue", "proxy")
	if code != 0 {
		s.Fatal(out)
	}
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
		var waiting []string
		for _, c := range s.containers() {
			if health := c.State.Health; health != nil && health.Status != "healthy" {
				waiting = append(waiting, c.service()+" is "+c.State.Status+" and "+health.Status)
			}
		}
		if len(waiting) == 0 {
			return
		}
		if time.Now().After(deadline) {
			out, _ := s.compose("logs", "--tail", "20")
			s.Fatalf("%s: %s", strings.Join(waiting, ", "), out)
		}
	}
}

// smoke returns the exit code of scripts/smoke.py, and of each check its status, which is to be its own line of JSON.
func (s *site) smoke(changed map[string]string) (int, map[string]string) {
	s.Helper()
	out, code := s.composeWith(changed, "run", "--rm", "--no-TTY", "--quiet-pull", "smoke")
	statuses := map[string]string{}
	for line := range strings.Lines(out) {
		var one struct{ Check, Status string }
		if json.Unmarshal([]byte(line), &one) == nil && one.Check != "" {
			statuses[one.Check] = one.Status
			if one.Status != "passed" {
				s.Logf("smoke: %s", strings.TrimSpace(line))
			}
		}
	}
	return code, statuses
}

// expect holds the outcome of the smoke test against what is broken: all else has to pass.
func (s *site) expect(t *testing.T, changed map[string]string, code int, broken map[string]string) {
	t.Helper()
	got, statuses := s.smoke(changed)
	if got != code || len(statuses) != 6 {
		t.Errorf("exit code %d, want %d: %v", got, code, statuses)
	}
	for check, status := range statuses {
		want := "passed"
		if other, ok := broken[check]; ok {
			want = other
		}
		if status != want {
			t.Errorf("%s: %s, want %s", check, status, want)
		}
	}
}

func (s *site) hardened(t *testing.T) {
	published := map[string]string{"proxy": s.values["PROXY_PORT"], "mlflow": s.values["MLFLOW_PORT"], "airflow-api": s.values["AIRFLOW_PORT"]}
	for _, c := range s.containers() {
		h, service := c.HostConfig, c.service()
		if !h.ReadonlyRootfs || h.Privileged || !slices.Equal(h.CapDrop, []string{"ALL"}) || !slices.Contains(h.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: %+v", service, h)
		}
		if h.Memory == 0 || h.PidsLimit == nil || *h.PidsLimit <= 0 || h.LogConfig.Config["max-size"] == "" {
			t.Errorf("%s has no limit of memory, processes or log: %+v", service, h)
		}
		if user, _, _ := strings.Cut(c.Config.User, ":"); user == "" || user == "0" {
			t.Errorf("%s runs as %q", service, c.Config.User)
		}
		if c.State.Health == nil != (service == "databases") {
			t.Errorf("%s: health %+v", service, c.State.Health)
		}
		if c.Config.Labels["meter.environment"] != s.name {
			t.Errorf("%s: labels %v", service, c.Config.Labels)
		}
		for port, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				if b.HostIp != "127.0.0.1" || b.HostPort != published[service] {
					t.Errorf("%s publishes %s on %s:%s", service, port, b.HostIp, b.HostPort)
				}
			}
		}
		if _, ok := c.NetworkSettings.Networks["meter-"+s.name]; !ok || len(c.NetworkSettings.Networks) != 1 {
			t.Errorf("%s is in the networks %v", service, c.NetworkSettings.Networks)
		}
	}
}

// finds reports which secrets a text holds, plain or as they would be written elsewhere.
func (s *site) finds(text string) []string {
	var found []string
	for name, value := range s.secrets {
		forms := []string{value, strings.TrimRight(value, "="), url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value))}
		if slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(text, form) }) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func (s *site) holdsNoSecret(t *testing.T) {
	all := s.containers()
	if len(all) < 8 {
		t.Fatalf("there are %d containers", len(all))
	}
	seen := map[string]string{}
	images := map[string]bool{}
	for _, c := range all {
		seen["inspect of "+c.service()], _ = s.try("docker", nil, "inspect", c.ID)
		seen["logs of "+c.service()], _ = s.try("docker", nil, "logs", c.ID)
		if c.State.Status == "running" {
			seen["processes of "+c.service()], _ = s.try("docker", nil, "top", c.ID, "-eo", "pid,args")
		}
	}
	for _, name := range []string{"AIRFLOW_IMAGE", "MLFLOW_IMAGE", "SMOKE_IMAGE", "POSTGRES_IMAGE", "PROXY_IMAGE"} {
		images[s.values[name]] = true
	}
	for image := range images {
		seen["history of "+image], _ = s.try("docker", nil, "history", "--no-trunc", image)
	}
	seen["configuration"], _ = s.compose("--profile", "task", "config")
	for what, text := range seen {
		if text == "" && !strings.HasPrefix(what, "logs") {
			t.Errorf("%s is empty", what)
		}
		if found := s.finds(text); len(found) > 0 {
			t.Errorf("%s holds %v", what, found)
		}
	}
	// Where they are meant to be, they are found.
	var control string
	for _, c := range all {
		if c.service() == "airflow-api" {
			control, _ = s.try("docker", nil, "exec", c.ID, "sh", "-c", "cat /run/secrets/*; cat /tmp/passwords.json")
		}
	}
	if found := s.finds(control); len(found) != 5 {
		t.Errorf("in Airflow's own files only %v are found: the search does not work", found)
	}
}

// countsNoHealthCheck: a look that became a line of the proxy's log would be judged as a user's request.
func (s *site) countsNoHealthCheck(t *testing.T) {
	time.Sleep(5 * time.Second) // two looks, at least
	state, err := s.socket.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to := time.Now()
	in, err := s.log.Between(t.Context(), to.Add(-5*time.Second), to)
	if err != nil {
		t.Fatal(err)
	}
	if !state.Servers["blue"].Up || in.Unserved != 0 || len(in.Servers) != 0 {
		t.Errorf("with no user there were %d requests that no server got, and %d servers with some: %+v", in.Unserved, len(in.Servers), state)
	}
}

func (s *site) tellsWhatIsBroken(t *testing.T) {
	psql := func(sql string) {
		t.Helper()
		out, code := s.compose("exec", "--no-TTY", "postgres", "psql", "--username=postgres", "--dbname=meter", "--quiet", "--command", sql)
		if code != 0 {
			t.Fatal(out)
		}
	}
	psql("ALTER TABLE predictions RENAME TO elsewhere")
	s.expect(t, nil, 1, map[string]string{"database": "failed"})
	psql("ALTER TABLE elsewhere RENAME TO predictions")
	s.expect(t, map[string]string{"SMOKE_IMAGE": s.spoiled(s.values["SMOKE_IMAGE"])}, 1, map[string]string{"answers": "failed"})
	if out, code := s.compose("stop", "--timeout", "5", "mlflow"); code != 0 {
		t.Fatal(out)
	}
	s.expect(t, map[string]string{"SMOKE_DIGEST": "sha256:other"}, 3, map[string]string{"mlflow": "error", "version": "failed"})
}

// takesNewPasswords: a password that was changed holds from the next migration on, and an old one does not.
func (s *site) takesNewPasswords(t *testing.T) {
	old := s.secrets["METER_DB_PASSWORD"]
	s.secrets["METER_DB_PASSWORD"] = ""
	s.writeSecrets()
	if s.secrets["METER_DB_PASSWORD"] == old {
		t.Fatal("the password is the old one")
	}
	s.once("databases")
	connect := func(password string) int {
		_, code := s.compose("exec", "--no-TTY", "--env", "PGPASSWORD="+password, "postgres", "psql", "--host=postgres", "--username=meter", "--command", "SELECT 1")
		return code
	}
	if now, before := connect(s.secrets["METER_DB_PASSWORD"]), connect(old); now != 0 || before == 0 {
		t.Errorf("psql with the new password ends with %d, with the old one with %d", now, before)
	}
}
