package compose

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/jackc/pgx/v5"
)

const (
	// schemaAge is for how long an answer of the database is taken for its answer now; a migration of ours ends that.
	schemaAge = 5 * time.Second
	// schemaPatience is how long it gets for an answer.
	schemaPatience = time.Second
)

// seenSchema is what the database said last.
type seenSchema struct {
	name string
	at   time.Time
}

// schemaNow is the schema that the system's own database has; empty if it has none, or does not answer.
func (t *Target) schemaNow(ctx context.Context, v view) string {
	c, ok := v.members[postgresService]
	if !ok || !runs(c) {
		return ""
	}
	t.database.Lock()
	defer t.database.Unlock()
	if time.Since(t.schema.at) < schemaAge {
		return t.schema.name
	}
	ctx, cancel := context.WithTimeout(ctx, schemaPatience)
	defer cancel()
	name, err := t.askSchema(ctx, c)
	if err != nil {
		t.disconnect(ctx)
		return ""
	}
	t.schema = seenSchema{name, time.Now()}
	return name
}

func (t *Target) askSchema(ctx context.Context, c container.InspectResponse) (name string, err error) {
	if t.meter == nil {
		if t.meter, err = t.connect(ctx, c); err != nil {
			return "", err
		}
	}
	err = t.meter.QueryRow(ctx, "SELECT version_num FROM alembic_version").Scan(&name)
	return name, err
}

// connect takes the password from the file that the database's service has it from.
func (t *Target) connect(ctx context.Context, c container.InspectResponse) (*pgx.Conn, error) {
	password, err := os.ReadFile(filepath.Join(t.layout.Secrets(), postgresService, "METER_DB_PASSWORD"))
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	address := net.JoinHostPort(t.address(c), postgresPort)
	config.Host, config.Port = t.address(c), 5432
	config.User, config.Database, config.Password = "meter", "meter", strings.TrimSpace(string(password))
	config.Fallbacks = nil
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return pgx.ConnectConfig(ctx, config)
}

// disconnect forgets the connection, and what came over it. It is closed in an orderly way also if ctx has ended.
func (t *Target) disconnect(ctx context.Context) {
	if t.meter != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), schemaPatience)
		defer cancel()
		_ = t.meter.Close(ctx)
	}
	t.meter, t.schema = nil, seenSchema{}
}

// forgetSchema makes the next observation ask anew.
func (t *Target) forgetSchema() {
	t.database.Lock()
	defer t.database.Unlock()
	t.schema = seenSchema{}
}
