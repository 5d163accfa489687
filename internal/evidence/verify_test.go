package evidence

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meter-ml/meter-pipeline/internal/config"
	"github.com/meter-ml/meter-pipeline/internal/engine"
)

func TestWholeChainMeetsThePolicy(t *testing.T) {
	verdict := newWorld(t).verify()
	if !verdict.Met || len(verdict.Missing) != 0 || len(verdict.Refused) != 0 {
		t.Fatalf("not met:\n%s", text(verdict))
	}
	if verdict.Tree != tree || verdict.Commit != commit {
		t.Errorf("made of tree %s, commit %s", verdict.Tree, verdict.Commit)
	}
	var proven []string
	for _, a := range verdict.Accepted {
		proven = append(proven, a.What)
	}
	want := []string{"provenance", "quality", "security", "unit", "integration", "benchmark", "security:safety scan", "bill of materials"}
	if diff := cmp.Diff(want, proven); diff != "" {
		t.Errorf("proven (-want +got):\n%s", diff)
	}
}

// An attack is a change to what a verification sees that must make it fail, with a twin that is as near to it as can be
// and must not: a defence that refuses everything would pass without.
type attack struct {
	name   string
	attack func(*world)
	want   string // in what is missing
	twin   func(*world)
}

func (a attack) run(t *testing.T) {
	w := newWorld(t)
	a.attack(w)
	verdict := w.verify()
	if verdict.Met {
		t.Errorf("the policy is met, want %q", a.want)
	} else if !strings.Contains(text(verdict), a.want) {
		t.Errorf("missing is\n%s\nwant it to hold %q", text(verdict), a.want)
	}
	for _, m := range verdict.Missing {
		if m.What == "" || m.Found == "" || m.Expected == "" || m.Remedy == "" {
			t.Errorf("it says too little: %+v", m)
		}
	}
	w = newWorld(t)
	a.twin(w)
	if verdict := w.verify(); !verdict.Met {
		t.Errorf("the harmless twin does not meet the policy:\n%s", text(verdict))
	}
}

func replaceStage(name string, change func(*engine.StageResult)) func(*world) {
	return func(w *world) {
		w.drop(name)
		w.judge(w.key, only(name, change))
	}
}

func unchanged(*world) {}

func policy(stage string, change func(*config.EvidenceStage)) func(*world) {
	return func(w *world) {
		s := w.policy.Stages[stage]
		change(&s)
		w.policy.Stages[stage] = s
	}
}

func swap(name, from, to string) func(*world) {
	return func(w *world) {
		payload := w.payload(name)
		changed := bytes.ReplaceAll(payload, []byte(from), []byte(to))
		if bytes.Equal(payload, changed) {
			w.t.Fatalf("%s does not hold %s", name, from)
		}
		w.drop(name)
		w.sign(w.key, name, changed)
	}
}

func TestPoliciesThatAskForNothing(t *testing.T) {
	for _, a := range []attack{
		{"without stages", func(w *world) { w.policy.Stages = nil }, "0 stages", unchanged},
		{"without an age", func(w *world) { w.policy.MaxAge = 0 }, "a maximum age of 0s", unchanged},
		{"stage without steps", policy("unit", func(s *config.EvidenceStage) { s.Steps = nil }), `stage "unit" with 0 steps`, unchanged},
		{"stage about nothing", policy("unit", func(s *config.EvidenceStage) { s.Subject = "" }), `about ""`, unchanged},
		{"stage that there is not", func(w *world) { w.policy.Stages["units"] = w.policy.Stages["unit"] }, `stage "units"`, unchanged},
		{"no key", func(w *world) { w.keys = nil }, "at least one key", func(w *world) { w.keys = append(w.keys, newKey(t).PublicKey) }},
		{"tag for a digest", func(w *world) { w.digest = "main-latest" }, "a digest, sha256:", unchanged},
		{"digest cut short", func(w *world) { w.digest = digest[:20] }, "a digest, sha256:", unchanged},
		{"no evidence at all", func(w *world) { w.found = nil }, "provenance: found none that counts", unchanged},
	} {
		t.Run(a.name, a.run)
	}
}

func TestSubjects(t *testing.T) {
	otherTree := strings.Repeat("9", 40)
	for _, a := range []attack{
		{"another image's evidence", func(w *world) { w.digest = other }, "it is of another image", unchanged},
		{"another image's provenance", func(w *world) {
			onlyTree(w)
			w.digest = other
		}, "it is of another image", onlyTree},
		{
			"another image's benchmark", swap("benchmark", digest[7:], other[7:]), "it is not about the image",
			func(w *world) { w.add(w.key, w.another(other)...) },
		},
		{"another tree's tests", swap("unit", tree, otherTree), "it is not about the source tree", unchanged},
		{"provenance of another tree", func(w *world) {
			w.drop("provenance-model_api")
			w.build(w.key, func(b *Build) { b.Images.Tree = gitTree + ":" + otherTree })
		}, "none about the source tree 999999999999", unchanged},
		{"tree's evidence where the image's is asked for", policy("unit", func(s *config.EvidenceStage) { s.Subject = config.SubjectImage }), "unit: found none about the image", unchanged},
		{"image's evidence where the tree's is asked for", policy("benchmark", func(s *config.EvidenceStage) { s.Subject = config.SubjectTree }), "benchmark: found none about the source tree", unchanged},
		{"the digest under another algorithm", swap("benchmark", `"sha256":"`+digest[7:], `"sha512":"`+digest[7:]), "it is not about the image", unchanged},
		{"the tree as a commit", swap("unit", `"gitTree":"`+tree, `"gitCommit":"`+tree), "it is not about the source tree", unchanged},
		{"digest in capitals", swap("benchmark", digest[7:], strings.ToUpper(digest[7:])), "which is none", unchanged},
		{"no provenance", func(w *world) { w.drop("provenance-model_api") }, "no provenance names its source tree", unchanged},
		{"provenance of another way to build", swap("provenance-model_api", BuildType, BuildType+"2"), "its build type is", unchanged},
		{"provenance without a tree", swap("provenance-model_api", sourceTree, "Source tree"), "does not name one source tree", unchanged},
		{"provenance with two trees", func(w *world) {
			swap("provenance-model_api", `"name":"`+baseImage+`"`, `"name":"`+sourceTree+`"`)(w)
			swap("provenance-model_api", `"sha256":"`+strings.Repeat("d", 64), `"gitTree":"`+tree)(w)
		}, "does not name one source tree", unchanged},
		{"two provenances of one moment", func(w *world) { w.build(w.key, func(b *Build) { b.Images.Tree = gitTree + ":" + otherTree }) }, "that disagree on the source", func(w *world) {
			w.build(w.key, func(b *Build) { b.Images.Tree, b.Finished = gitTree+":"+otherTree, b.Finished.Add(-time.Second) })
		}},
		{"benchmark of another model", func(w *world) {
			w.drop("benchmark")
			run, images := goodRun(t.TempDir()), goodImages()
			only("benchmark", func(*engine.StageResult) {})(run)
			w.add(w.key, w.statements(Source{Run: run, Tree: tree, Place: w.place, Images: &images, Model: other})...)
		}, "which the image holds", unchanged},
		{"benchmark of no model", func(w *world) {
			w.drop("benchmark")
			run, images := goodRun(t.TempDir()), goodImages()
			only("benchmark", func(*engine.StageResult) {})(run)
			w.add(w.key, w.statements(Source{Run: run, Tree: tree, Place: w.place, Images: &images})...)
		}, `a verdict on the model ""`, func(w *world) {
			w.drop("provenance-model_api")
			w.build(w.key, func(b *Build) { b.Images.Images[0].Model = "" }) // an image without a model
		}},
	} {
		t.Run(a.name, a.run)
	}
}

// onlyTree narrows the policy to what is about the source tree, so that the provenance alone joins it to the image.
func onlyTree(w *world) {
	w.policy.SBOM = false
	delete(w.policy.Stages, "integration")
	delete(w.policy.Stages, "benchmark")
}

// another is the run's evidence for an image beside the one in question.
func (w *world) another(digest string) []*Statement {
	run, images := goodRun(w.t.TempDir()), goodImages()
	images.Images[0].Digest = digest
	return w.statements(Source{Run: run, Tree: tree, Place: w.place, Images: &images, Model: model})
}

func TestSigners(t *testing.T) {
	stranger := newKey(t)
	for _, a := range []attack{
		{"all by a stranger", func(w *world) { w.keys = []PublicKey{stranger.PublicKey} }, "not signed by a trusted key", func(w *world) { w.keys = append(w.keys, stranger.PublicKey) }},
		{"one stage by a stranger", func(w *world) {
			w.drop("unit")
			w.judge(stranger, only("unit", func(*engine.StageResult) {}))
		}, "unit: found none about the source tree 111111111111… (refused: not signed by a trusted key", func(w *world) {
			w.judge(stranger, only("unit", later(time.Minute, fails))) // a stranger can't disprove anything either
		}},
		{"a number that was changed after signing", func(w *world) {
			replaceStage("unit", metric("tests_failed", 1))(w)
			last := &w.found[len(w.found)-1]
			last.Content = forge(w.t, last.Content, `"name":"tests_failed","threshold":0,"unit":"tests","value":1`, `"name":"tests_failed","threshold":0,"unit":"tests","value":0`)
		}, "its signature is not that of key", unchanged},
		{"tree's evidence by another trusted key than the provenance", func(w *world) {
			w.keys = append(w.keys, stranger.PublicKey)
			w.drop("unit")
			w.judge(stranger, only("unit", func(*engine.StageResult) {}))
		}, "it is signed by another key than the provenance", func(w *world) {
			w.keys = append(w.keys, stranger.PublicKey)
			w.drop("benchmark") // about the digest itself, so any trusted key will do
			w.judge(stranger, only("benchmark", func(*engine.StageResult) {}))
		}},
		{"a laptop's evidence where a hosted build is asked for", func(w *world) {
			w.policy.Builders = []config.EvidenceBuilder{{ID: BuilderGitHub}}
		}, "it was made by \"" + BuilderLocal, func(w *world) {
			w.policy.Builders = []config.EvidenceBuilder{{ID: BuilderGitHub}, {ID: BuilderLocal}}
		}},
		{"a laptop's key that claims a hosted build", func(w *world) {
			w.policy.Builders = []config.EvidenceBuilder{{ID: BuilderGitHub, Keys: []string{stranger.ID}}}
			w.found = nil
			w.place.Builder = BuilderGitHub
			w.judge(w.key, nil)
			w.build(w.key, nil)
		}, "for which the key", func(w *world) {
			w.policy.Builders = []config.EvidenceBuilder{{ID: BuilderGitHub, Keys: []string{w.key.ID}}}
			w.found = nil
			w.place.Builder = BuilderGitHub
			w.judge(w.key, nil)
			w.build(w.key, nil)
			w.list(w.key, digest)
		}},
		{"builder that is nearly named", func(w *world) { w.policy.Builders = []config.EvidenceBuilder{{ID: BuilderLocal + "/"}} }, "which the policy does not name", func(w *world) { w.policy.Builders = nil }},
	} {
		t.Run(a.name, a.run)
	}
}

func TestMoments(t *testing.T) {
	for _, a := range []attack{
		{"expired", func(w *world) { w.now = noon.Add(time.Minute + 48*time.Hour + time.Second) }, "and may be 2 days old", func(w *world) { w.now = noon.Add(time.Minute + 48*time.Hour) }},
		{"one stage expired", replaceStage("unit", later(-72*time.Hour, nil)), "unit: found none", replaceStage("unit", later(-46*time.Hour, nil))},
		{"from the future", replaceStage("unit", later(2*time.Hour, nil)), "which is in the future", replaceStage("unit", later(61*time.Minute, nil))},
		{"provenance expired", func(w *world) {
			w.drop("provenance-model_api")
			w.build(w.key, func(b *Build) { b.Finished = noon.Add(-48 * time.Hour) })
		}, "provenance: found none that counts (refused: it is of 2026-11-26", unchanged},
		{"provenance without a date", func(w *world) {
			w.drop("provenance-model_api")
			w.build(w.key, func(b *Build) { b.Finished = time.Time{} })
		}, "it does not say when it was made", unchanged},
		{"a step of long ago in a new stage", swap("unit", `"reason":"","started":"2026-11-28T12:00:00Z"`, `"reason":"","started":"2025-11-28T12:00:00Z"`), "was not part of the run", unchanged},
	} {
		t.Run(a.name, a.run)
	}
}

func TestNames(t *testing.T) {
	for _, a := range []attack{
		{"another predicate type instead of the asked one", swap("unit", TestResultType, VulnsType), "there is one of the type " + VulnsType, unchanged},
		{"another version of the predicate", swap("unit", TestResultType, TestResultType+"1"), "unit: found none", unchanged},
		{"a type that begins like it", swap("unit", TestResultType, "https://in-toto.io/attestation/test-result/v0"), "unit: found none", unchanged},
		{"stage in capitals", swap("unit", `"stage":"unit"`, `"stage":"Unit"`), `there is one of "Unit"`, unchanged},
		{"stage with a space", swap("unit", `"stage":"unit"`, `"stage":"unit "`), `there is one of "unit "`, unchanged},
		{"stage in Cyrillic", swap("unit", `"stage":"unit"`, `"stage":"un\u0456t"`), "which there is not", unchanged},
		{"step in capitals", swap("unit", `pytest`, `PyTest`), "unit:pytest: found a run without this step", unchanged},
		{"status in capitals", swap("unit", `"status":"passed"`, `"status":"PASSED"`), "its test-result says other things", unchanged},
		{"another type of statement", swap("unit", StatementType, "https://in-toto.io/Statement/v0.1"), "its type is", unchanged},
		{"field in another case", swap("unit", `"judged":`, `"Judged":`), "spelt in another way", unchanged},
		{"field left out", swap("unit", `"judged":40,`, ``), "spelt in another way", unchanged},
		{"field added", swap("unit", `"judged":40,`, `"judged":40,"rank":1,`), "unknown field", unchanged},
		{"key twice", swap("unit", `"judged":40,`, `"judged":0,"judged":40,`), "duplicate", unchanged},
		{"predicate twice", swap("unit", `"predicateType"`, `"predicate":{},"predicateType"`), "duplicate", unchanged},
		{"no numbers", swap("unit", extension, "meterpipeline"), "so it holds no numbers", unchanged},
		{"numbers of another version", swap("unit", `"version":1`, `"version":2`), "is of version 2", unchanged},
		{"result against the numbers", swap("unit", `"result":"PASSED"`, `"result":"FAILED"`), "says other things than its numbers", unchanged},
		{"a list against the numbers", swap("unit", `"passedTests":["unit:pytest"]`, `"passedTests":["unit:pytest","unit:more"]`), "says other things than its numbers", unchanged},
		{"a threshold of no direction", swap("unit", `"direction":"at_least"`, `"direction":"atleast"`), `a threshold of the kind "atleast"`, unchanged},
	} {
		t.Run(a.name, a.run)
	}
}
