package sarif

const (
	levelError   = "error"
	levelWarning = "warning"
	levelNote    = "note"

	columnKind = "unicodeCodePoints"
)

type logDoc struct {
	Schema  string   `json:"$schema"`
	Version string   `json:"version"`
	Runs    []runDoc `json:"runs"`
}

type runDoc struct {
	Tool       toolDoc         `json:"tool"`
	Automation automation      `json:"automationDetails"`
	Invocation []invocationDoc `json:"invocations"`
	ColumnKind string          `json:"columnKind"`
	Results    []result        `json:"results"`
	Properties map[string]any  `json:"properties,omitempty"`
}

type toolDoc struct {
	Driver driver `json:"driver"`
}

type driver struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	ID         string         `json:"id"`
	Short      message        `json:"shortDescription"`
	Full       message        `json:"fullDescription"`
	Help       multiformat    `json:"help"`
	HelpURI    string         `json:"helpUri,omitempty"`
	Properties map[string]any `json:"properties"`
}

type multiformat struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown"`
}

type message struct {
	Text string `json:"text"`
}

func text(s string) message { return message{Text: s} }

type automation struct {
	ID string `json:"id"`
}

type invocationDoc struct {
	Successful    bool           `json:"executionSuccessful"`
	CommandLine   string         `json:"commandLine,omitempty"`
	Start         string         `json:"startTimeUtc,omitempty"`
	End           string         `json:"endTimeUtc,omitempty"`
	Notifications []notification `json:"toolExecutionNotifications,omitempty"`
}

type notification struct {
	Level   string  `json:"level"`
	Message message `json:"message"`
}

type result struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      message           `json:"message"`
	Locations    []location        `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

type location struct {
	Physical physical  `json:"physicalLocation"`
	Logical  []logical `json:"logicalLocations,omitempty"`
}

type logical struct {
	Name string `json:"fullyQualifiedName"`
}

type physical struct {
	Artifact artifact `json:"artifactLocation"`
	Region   region   `json:"region"`
	Context  *region  `json:"contextRegion,omitempty"`
}

type artifact struct {
	URI    string `json:"uri"`
	BaseID string `json:"uriBaseId"`
}

type region struct {
	StartLine   int      `json:"startLine"`
	StartColumn int      `json:"startColumn,omitempty"`
	EndLine     int      `json:"endLine,omitempty"`
	EndColumn   int      `json:"endColumn,omitempty"`
	Snippet     *message `json:"snippet,omitempty"`
}
