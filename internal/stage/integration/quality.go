package integration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/handover"
)

// trainedDir is where the hops leave what they trained, in their directory: a file of JSON for each data set, which is a
// handover.Set with paths relative to that directory.
const trainedDir = "trained"

// gate judges the models that the hops trained, and hands them on if they are good enough.
type gate struct {
	project  *config.Project
	champion string
}

func (g gate) judge(_ context.Context, scope engine.Scope) (engine.Judgement, error) {
	sets, err := g.sets(scope.Artifacts)
	if err != nil {
		return engine.Judgement{}, err
	}
	j := engine.Judgement{Unit: "models"}
	if err := g.compared(&j); err != nil {
		return engine.Judgement{}, err
	}
	table := engine.Table{Title: "Models", Columns: []string{"data set and model", "metric", "model", "baseline", "last champion"}}
	for _, set := range sets {
		for _, model := range set.Trained {
			metrics, err := g.metrics(set.Name, model)
			if err != nil {
				return engine.Judgement{}, fmt.Errorf("judge %s of %s: %w", model.Name, set.Name, err)
			}
			j.Metrics = append(j.Metrics, metrics...)
			table.Rows = append(table.Rows, rows(set.Name, model)...)
			j.Judged++
		}
	}
	j.Tables = []engine.Table{table}
	if slices.ContainsFunc(j.Metrics, func(m engine.Metric) bool { return !m.Met() }) {
		return j, nil // and nobody gets a model that failed
	}
	model, err := handover.WriteModel(scope.Artifacts, handover.Model{Sets: sets})
	if err != nil {
		return engine.Judgement{}, err
	}
	j.Notes = append(j.Notes, fmt.Sprintf("handed on: %d files, %.19s…", len(model.Files), model.Digest))
	return j, nil
}

// compared says whether there is a champion, and that it is the one that was stored.
func (g gate) compared(j *engine.Judgement) error {
	if g.champion == "" {
		j.Notes = append(j.Notes, "not compared with a champion: none is stored yet: `mage integration:champion` stores one")
		return nil
	}
	if _, err := handover.ReadModel(filepath.Join(g.project.Root, filepath.FromSlash(g.champion))); err != nil {
		return fmt.Errorf("compare with the last champion in %s: %w: remove it, or store one anew by `mage integration:champion`", g.champion, err)
	}
	return nil
}

// sets reads what the hops left. Data that lie in the project come first: every machine has them.
func (g gate) sets(artifacts string) ([]handover.Set, error) {
	files, err := filepath.Glob(filepath.Join(quoted(filepath.Join(artifacts, name, trainedDir)), "*.json"))
	if err != nil {
		return nil, err
	}
	var sets []handover.Set
	for _, file := range files {
		set, err := readSet(file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path.Join(name, trainedDir, filepath.Base(file)), err)
		}
		sets = append(sets, set)
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("no hop left a trained model: a hop of model.after writes %s of each data set", path.Join(name, trainedDir, "<name>.json"))
	}
	slices.SortStableFunc(sets, func(a, b handover.Set) int {
		return cmp.Compare(strconv.FormatBool(filepath.IsAbs(a.Data)), strconv.FormatBool(filepath.IsAbs(b.Data)))
	})
	return sets, nil
}

// quoted takes the meaning from characters that are special in a pattern.
func quoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func readSet(file string) (handover.Set, error) {
	var set handover.Set
	content, err := os.ReadFile(file)
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return set, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&set); err != nil {
		return set, err
	}
	if set.Name == "" || len(set.Trained) == 0 {
		return set, errors.New("it names no data set or no model")
	}
	set.Models, set.Requests = path.Join(name, set.Models), path.Join(name, set.Requests)
	return set, nil
}

// metrics are the model's figures that a threshold is set for.
func (g gate) metrics(set string, m handover.Trained) ([]engine.Metric, error) {
	limits, ok := g.project.Model.Gates[m.Kind]
	if !ok {
		return nil, fmt.Errorf("there is no gate for a %s: add it to model.gates in %s", cmp.Or(m.Kind, "model without a kind"), config.FileName)
	}
	score, ok := m.Metrics[m.Score]
	baseline, known := m.Baseline[m.Score]
	if !ok || !known {
		return nil, fmt.Errorf("training reports no %s of the model and of the baseline", cmp.Or(m.Score, "score"))
	}
	prefix := metricName(set + "_" + m.Name + "_")
	metrics := []engine.Metric{{
		Name: prefix + "gain", Value: -loss(score, baseline), Unit: "%", Threshold: limits.MinimumGain, Direction: engine.DirectionAtLeast,
		Help: fmt.Sprintf("%s of %s must be that much lower than the baseline's: see what changed in the features or the training", m.Score, m.Name),
	}}
	for _, metric := range slices.Sorted(maps.Keys(limits.Minimum)) {
		value, ok := m.Metrics[metric]
		if !ok {
			return nil, fmt.Errorf("training reports no %s, for which model.gates.%s sets a minimum", metric, m.Kind)
		}
		metrics = append(metrics, engine.Metric{
			Name: prefix + metricName(metric), Value: value, Threshold: limits.Minimum[metric], Direction: engine.DirectionAtLeast,
			Help: "see what changed in the data, the features or the training",
		})
	}
	if champion, ok := m.Champion[m.Score]; ok {
		metrics = append(metrics, engine.Metric{
			Name: prefix + "loss", Value: loss(score, champion), Unit: "%", Threshold: limits.MaximumLoss, Direction: engine.DirectionAtMost,
			Help: fmt.Sprintf("%s may be no higher than that above the last champion's: find out what made the model worse, or accept it by `mage integration:champion`", m.Score),
		})
	}
	return metrics, nil
}

// loss is by how many per cent a score, which is an error, is higher than another one.
func loss(score, other float64) float64 {
	if score == other {
		return 0 // both may be 0
	}
	return 100 * (score/other - 1)
}

var notInMetrics = regexp.MustCompile(`[^a-z0-9]+`)

func metricName(s string) string { return notInMetrics.ReplaceAllString(strings.ToLower(s), "_") }

// rows show every metric of a model beside those of what it is compared with.
func rows(set string, m handover.Trained) [][]string {
	var rows [][]string
	for _, metric := range slices.Sorted(maps.Keys(m.Metrics)) {
		title := ""
		if len(rows) == 0 {
			title = fmt.Sprintf("%s %s, %d+%d rows", set, m.Name, m.TrainRows, m.TestRows)
		}
		rows = append(rows, []string{title, metric, figure(m.Metrics, metric), figure(m.Baseline, metric), figure(m.Champion, metric)})
	}
	return rows
}

func figure(metrics map[string]float64, metric string) string {
	value, ok := metrics[metric]
	if !ok {
		return "–"
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}
