package security

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

// advisories are the database that a judgement rests on.
type advisories struct {
	where string // "the online database", or a directory
	made  time.Time
}

// note says where the database is from and how old it is, as a warning if it is too old to rely on.
func (a advisories) note(j *engine.Judgement, today time.Time, warnAge time.Duration) {
	if a.made.IsZero() {
		j.Warnings = append(j.Warnings, fmt.Sprintf("%s does not say when it was made, so it may be old", a.where))
		return
	}
	age := today.Sub(a.made)
	text := fmt.Sprintf("%s of %s, %d days old", a.where, a.made.Format(time.DateOnly), int(max(age, 0).Hours()/24))
	switch {
	case age < -24*time.Hour:
		j.Warnings = append(j.Warnings, text+": that is in the future, so check the clock of this machine")
	case age > warnAge:
		j.Warnings = append(j.Warnings, text+": vulnerabilities that became known since then were not looked for; get a newer one")
	default:
		j.Notes = append(j.Notes, text)
	}
}

// localDirectory returns the configured local database, empty if there is none. The variable goes before the file's
// value, since a machine may have its own copy.
func localDirectory(p *config.Project, env map[string]string) (dir, source string) {
	s := p.Security.Safety
	if value := env[s.DatabaseVariable]; s.DatabaseVariable != "" && value != "" {
		dir, source = value, s.DatabaseVariable
	} else if s.Database != "" {
		dir, source = s.Database, "security.safety.database"
	}
	if dir != "" && !filepath.IsAbs(dir) {
		dir = filepath.Join(p.Root, filepath.FromSlash(dir))
	}
	return dir, source
}

// databaseFiles are what safety reads: names and ranges, and what is known of each.
func databaseFiles() []string { return []string{"insecure.json", "insecure_full.json"} }

// openLocal checks that both files are there, of the schema that safety reads, and not empty: against an empty
// database everything is green.
func openLocal(dir, source string) (advisories, error) {
	db := advisories{where: "advisory database " + dir}
	for _, name := range databaseFiles() {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return db, fmt.Errorf("%s names %s, which has no %s: give the directory of a database in safety's format", source, dir, name)
		}
		if err != nil {
			return db, fmt.Errorf("read advisory database: %w", err)
		}
		made, err := parseDatabase(content)
		if err != nil {
			return db, fmt.Errorf("read advisory database %s: %w", filepath.Join(dir, name), err)
		}
		if db.made.IsZero() || made.Before(db.made) {
			db.made = made
		}
	}
	return db, nil
}

const databaseSchema = "2.0.0"

// parseDatabase returns when a database was made; zero if it does not say.
func parseDatabase(content []byte) (time.Time, error) {
	var db struct {
		Meta struct {
			Schema    string  `json:"schema_version"`
			Timestamp float64 `json:"timestamp"`
		} `json:"meta"`
		Packages map[string]json.RawMessage `json:"vulnerable_packages"`
	}
	if err := json.Unmarshal(content, &db); err != nil {
		return time.Time{}, err
	}
	if db.Meta.Schema != databaseSchema {
		return time.Time{}, fmt.Errorf("its schema is %q, where safety reads %s", db.Meta.Schema, databaseSchema)
	}
	if len(db.Packages) == 0 {
		return time.Time{}, errors.New("it knows no vulnerable package, so everything would be green")
	}
	if db.Meta.Timestamp <= 0 || db.Meta.Timestamp > 1e11 {
		return time.Time{}, nil
	}
	return time.Unix(int64(db.Meta.Timestamp), 0).UTC(), nil
}

// cachedTime returns when the database was made that safety fetched and put into its cache; zero if it can't be told.
func cachedTime(cache string) time.Time {
	content, err := os.ReadFile(cache)
	if err != nil {
		return time.Time{}
	}
	var cached map[string]struct {
		DB json.RawMessage `json:"db"`
	}
	if err := json.Unmarshal(content, &cached); err != nil {
		return time.Time{}
	}
	made, err := parseDatabase(cached["insecure.json"].DB)
	if err != nil {
		return time.Time{}
	}
	return made
}
