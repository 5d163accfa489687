package image

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/python"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
)

// secretsStep looks for secrets in everything that a push would publish of an image: every file of every layer, also
// those that a later layer deletes, and what its configuration says.
func (s *scanner) secretsStep() engine.Step {
	step := s.step(secretsName, "secrets in every layer of images", []engine.Need{engine.NeedGitleaks}, s.secrets)
	step.HideFrames = true
	return step
}

func (s *scanner) secrets(ctx context.Context, scope engine.Scope) (engine.Judgement, error) {
	j := engine.Judgement{Unit: "files and settings"}
	desk := newDesk(filepath.Join(scope.Scratch, "layers"))
	if err := desk.open(); err != nil {
		return engine.Judgement{}, err
	}
	defer func() { _ = os.RemoveAll(desk.dir) }() // the engine removes the whole scratch, later
	err := s.each(ctx, scope, func(image built, inventory *oci.Inventory) error {
		look := secretLook{image: image, inventory: inventory, desk: desk}
		if err := look.lay(ctx, s.project.Root); err != nil {
			return err
		}
		j.Judged += look.files + look.settings
		j.Notes = append(j.Notes, look.note())
		return nil
	})
	if err != nil {
		return engine.Judgement{}, err
	}
	judge := security.Judge{Project: s.project, Today: s.today, As: security.ImageSecrets}
	secrets, size, err := judge.Secrets(ctx, scope, desk.dir)
	if err != nil {
		return engine.Judgement{}, err
	}
	if size == 0 {
		return engine.Judgement{}, errors.New("the secret scan read nothing of the images: the project's own settings exclude everything")
	}
	j.Notes = append(j.Notes, fmt.Sprintf("%d different files and settings in all, %d bytes of text", len(desk.origins), size))
	var candidates []security.Candidate
	for _, secret := range secrets {
		candidates = append(candidates, desk.candidates(secret)...)
	}
	judge.Allow("secrets", candidates, &j)
	return j, nil
}

// secretLook lays out one image for the scan.
type secretLook struct {
	image     built
	inventory *oci.Inventory
	desk      *desk
	files     int
	settings  int
	vouched   int
	compiled  int // through their source
}

func (l *secretLook) lay(ctx context.Context, root string) error {
	texts := settings(l.inventory.Image)
	for _, what := range slices.Sorted(maps.Keys(texts)) {
		from := origin{image: l.image, what: what}
		if _, err := l.desk.lay(from, sha256.Sum256([]byte(texts[what])), "", strings.NewReader(texts[what])); err != nil {
			return err
		}
		l.settings++
	}
	pinned := map[string]security.Package{}
	if l.image.config.Requirements != "" {
		var err error
		if pinned, err = security.Pinned(root, []string{l.image.config.Requirements}); err != nil {
			return err
		}
	}
	return l.layLayers(ctx, vouch(l.inventory, pinned))
}

// layLayers goes through the layers once more, since only now it is known what needs no look. A compiled Python file is
// laid out until its source has come by, which may vouch for it.
func (l *secretLook) layLayers(ctx context.Context, known vouchers) error {
	sources := compiledFiles(l.inventory)
	names := map[*oci.File]string{}
	next := make([]int, len(l.inventory.Layers))
	err := l.inventory.Image.Walk(ctx, func(e oci.Entry, content io.Reader) error {
		if e.Kind != oci.KindFile {
			return nil
		}
		file := l.inventory.Layers[e.Layer][next[e.Layer]] // files come in the same order again
		next[e.Layer]++
		switch {
		case file.Path != e.Path:
			return errors.New("the layer changed while it was read")
		case known.know(file):
			l.vouched++
			return prove(sources[file.Path], content)
		}
		l.files++
		name, err := l.desk.lay(origin{image: l.image, what: l.describe(file), inside: file.Path, file: file}, file.SHA256, ending(file.Path), content)
		names[file] = name
		return err
	})
	if err != nil {
		return err
	}
	for _, files := range sources {
		for _, c := range files {
			if !c.proven || names[c.file] == "" {
				continue
			}
			l.files, l.compiled = l.files-1, l.compiled+1
			if err := l.desk.takeAway(names[c.file], c.file); err != nil {
				return err
			}
		}
	}
	return nil
}

// describe says where a file is, and that deleting it did not help.
func (l *secretLook) describe(file *oci.File) string {
	what := fmt.Sprintf("/%s of layer %d", plain.Line(file.Path), file.Layer+1)
	switch last := l.inventory.Final.Find(file.Path); {
	case last == nil:
		what += ", which a later layer deletes"
	case last.Layer != file.Layer:
		what += ", which a later layer replaces"
	}
	return what
}

// settings are the texts of an image that are in no file, by what they are.
func settings(image *oci.Image) map[string]string {
	texts := map[string]string{}
	c := image.Config.Config
	for i, entry := range c.Env {
		key, _, _ := strings.Cut(entry, "=")
		texts[fmt.Sprintf("variable %s (ENV %d)", plain.Line(key), i+1)] = entry
	}
	for key, value := range c.Labels {
		texts["label "+plain.Line(key)] = key + "=" + value
	}
	for key, value := range image.Manifest.Annotations {
		texts["annotation "+plain.Line(key)] = key + "=" + value
	}
	for i, h := range image.Config.History {
		texts["history line "+strconv.Itoa(i+1)] = h.CreatedBy + "\n" + h.Comment + "\n" + h.Author
	}
	texts["entry point"] = strings.Join(c.Entrypoint, " ")
	texts["command"] = strings.Join(c.Cmd, " ")
	texts["author"] = image.Config.Author
	if c.Healthcheck != nil {
		texts["health check"] = strings.Join(c.Healthcheck.Test, " ")
	}
	texts["the rest of the configuration"] = rest(image.Config)
	maps.DeleteFunc(texts, func(_, text string) bool { return strings.TrimSpace(text) == "" })
	return texts
}

// rest is what a configuration says beside all that: what a build upon it is to run, volumes, the shell.
func rest(file *v1.ConfigFile) string {
	left := file.DeepCopy()
	left.History, left.Author, left.RootFS = nil, "", v1.RootFS{}
	c := &left.Config
	c.Env, c.Labels, c.Entrypoint, c.Cmd, c.Healthcheck = nil, nil, nil, nil, nil
	text, err := json.MarshalIndent(left, "", " ")
	if err != nil {
		return "" // it came from JSON
	}
	return string(text)
}

func (l *secretLook) note() string {
	return fmt.Sprintf("%s: %s and %s of %d layers; not scanned were %d files that are byte for byte those of pinned Python packages or of Debian "+
		"packages, and %d that were compiled from such", l.image.Name, python.Count(l.files, "file"), python.Count(l.settings, "setting"),
		len(l.inventory.Layers), l.vouched, l.compiled)
}
