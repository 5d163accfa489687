package provision

// gitleaksSource is the secret scanner.
func gitleaksSource() toolSource {
	const module = "github.com/zricethezav/gitleaks/v8"
	return toolSource{
		program: "gitleaks", module: "tools/gitleaks", pins: module, command: module,
		version: module + "/version.Version", takes: "two minutes",
	}
}
