package image

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meter-ml/meter-pipeline/internal/engine"
	"github.com/meter-ml/meter-pipeline/internal/oci"
	"github.com/meter-ml/meter-pipeline/internal/plain"
	"github.com/meter-ml/meter-pipeline/internal/stage/security"
)

// desk is a directory in which everything lies that the secret scanner is to read, each content once: images share
// what they are built from. Names are numbers. The scanner passes over what lies in places like Python's library and
// over what looks packed, and a path of an image must not become one of this machine.
type desk struct {
	dir     string
	origins map[string][]origin // by name
	names   map[content]string
	next    int
}

// content is what makes two files one for the scanner: some of its rules ask for the end of a name.
type content struct {
	sum    [sha256.Size]byte
	ending string
}

// origin is where something comes from that the scanner reads.
type origin struct {
	image  built
	what   string    // "/app/.env of layer 3, which a later layer deletes"
	inside string    // path in the image; empty for a setting
	file   *oci.File // nil for a setting
}

func newDesk(dir string) *desk {
	return &desk{dir: dir, origins: map[string][]origin{}, names: map[content]string{}}
}

func (d *desk) open() error {
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		return fmt.Errorf("make directory for the layers: %w", err)
	}
	return nil
}

// lay puts a line end before the content, so that the scanner takes nothing for a program or an archive and looks away.
func (d *desk) lay(from origin, sum [sha256.Size]byte, ending string, text io.Reader) (name string, err error) {
	key := content{sum, ending}
	if name = d.names[key]; name != "" {
		d.origins[name] = append(d.origins[name], from)
		return name, nil
	}
	name = fmt.Sprintf("%07d%s", d.next, ending)
	d.next++
	defer func() {
		if err != nil {
			err = fmt.Errorf("lay out for the secret scan: %w", err)
		}
	}()
	file, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, io.MultiReader(strings.NewReader("\n"), text))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	d.names[key] = name
	d.origins[name] = []origin{from}
	return name, nil
}

// takeAway is for a file that need not be looked at after all. Where it lies elsewhere, too, that stays to be scanned.
func (d *desk) takeAway(name string, file *oci.File) error {
	d.origins[name] = slices.DeleteFunc(d.origins[name], func(o origin) bool { return o.file == file })
	if len(d.origins[name]) > 0 {
		return nil
	}
	delete(d.origins, name)
	delete(d.names, content{file.SHA256, ending(file.Path)})
	if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
		return fmt.Errorf("lay out for the secret scan: %w", err)
	}
	return nil
}

// ending keeps of a name what one of the scanner's rules asks for.
func ending(file string) string {
	if strings.EqualFold(path.Base(file), "nuget.config") {
		return "-nuget.config"
	}
	end := strings.ToLower(path.Ext(file))
	if slices.Contains([]string{".php", ".tf", ".hcl", ".yml", ".yaml", ".p12", ".pfx"}, end) {
		return end
	}
	return ""
}

// candidates name image, layer, path and rule of a secret, wherever it lies, and never what it is.
func (d *desk) candidates(secret security.Secret) []security.Candidate {
	origins := d.origins[path.Base(secret.File)]
	if len(origins) == 0 {
		return []security.Candidate{{Finding: engine.Finding{
			Rule: secret.Rule, Severity: engine.SeverityHigh, Message: "the images: " + secret.Description + " (the scanner calls the place " + plain.Line(secret.File) + ")",
		}}}
	}
	var all []security.Candidate
	for _, from := range origins {
		what := from.what
		if from.inside != "" {
			what += fmt.Sprintf(", line %d", max(secret.Line-1, 1)) // lay has put one before
		}
		all = append(all, security.Candidate{
			Inside: from.inside,
			Finding: engine.Finding{
				Rule: secret.Rule, Severity: engine.SeverityHigh, Path: from.image.config.Dockerfile,
				Message: fmt.Sprintf("image %s, %s: %s", from.image.Name, what, secret.Description),
				Help: security.SecretHelp("hand it to the build as a secret mount, or to the container when it starts, and build again: " +
					"what one layer holds no later layer takes back"),
				HelpURL: security.SecretPage,
			},
		})
	}
	return all
}
