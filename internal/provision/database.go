package provision

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// maintenance is the database that administrative commands are sent to. The test suites use the same one, since a
	// lock belongs to the database that its session is connected to.
	maintenance = "postgres"
	// adminTimeout bounds one administrative command; creating a database takes a tenth of a second.
	adminTimeout = 30 * time.Second
)

// databasePattern are the names of throwaway databases: meter_test_<unix seconds>_<pid>_<6 hex>, and after it a suffix
// that a test worker may add. The owner holds an advisory lock on the first part while it lives.
func databasePattern() *regexp.Regexp {
	return regexp.MustCompile(`^(meter_test_[0-9]+_[0-9]+_[0-9a-f]{6})(_[0-9A-Za-z_]+)?$`)
}

// An admin creates and drops throwaway databases on one server, over one session, which holds their locks.
type admin struct {
	turn   chan struct{} // taken while the session is in use
	conn   *pgconn.PgConn
	config *pgconn.Config
	base   *url.URL
	mine   map[string]bool
}

// connectAdmin opens the session: to the maintenance database, or to the named one where that is not allowed.
func connectAdmin(ctx context.Context, base *url.URL) (*admin, error) {
	named := strings.TrimPrefix(base.Path, "/")
	var first error
	for _, database := range []string{maintenance, named} {
		config, err := pgconn.ParseConfig(withDatabase(base, database))
		if err != nil {
			return nil, errors.New("it is no valid address of a database") // the error may quote the password
		}
		config.ConnectTimeout = 5 * time.Second
		a := &admin{turn: make(chan struct{}, 1), config: config, base: base, mine: map[string]bool{}}
		err = a.connect(ctx)
		if err == nil {
			return a, nil
		}
		if first == nil {
			first = err
		}
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || named == maintenance {
			break // it would not answer for another database either
		}
	}
	return nil, fmt.Errorf("connect: %w", first)
}

// connect opens the session, and takes its locks again if an earlier session was lost.
func (a *admin) connect(ctx context.Context) error {
	conn, err := pgconn.ConnectConfig(ctx, a.config)
	if err != nil {
		return err
	}
	a.conn = conn
	// A server may end idle sessions, and with ours the locks; the setting is for us only.
	_ = conn.ExecParams(ctx, "SET idle_session_timeout = 0", nil, nil, nil, nil).Read()
	for name := range a.mine {
		lock := "SELECT pg_advisory_lock(hashtextextended($1, 0))"
		if result := conn.ExecParams(ctx, lock, [][]byte{[]byte(name)}, nil, nil, nil).Read(); result.Err != nil {
			return result.Err
		}
	}
	return nil
}

// withDatabase is the address of another database on the same server.
func withDatabase(base *url.URL, database string) string {
	address := *base
	address.Path, address.RawPath = "/"+database, ""
	return address.String()
}

// exec runs one statement. The session is shared, and a cancelled statement would end it and every lock with it, so a
// statement that has begun is finished.
func (a *admin) exec(ctx context.Context, statement string, args ...string) ([][]string, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminTimeout)
	defer cancel()
	if a.conn.IsClosed() {
		if err := a.connect(ctx); err != nil {
			return nil, fmt.Errorf("connect again: %w", err)
		}
	}
	values := make([][]byte, len(args))
	for i, arg := range args {
		values[i] = []byte(arg)
	}
	result := a.conn.ExecParams(ctx, statement, values, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	rows := make([][]string, len(result.Rows))
	for i, row := range result.Rows {
		for _, value := range row {
			rows[i] = append(rows[i], string(value))
		}
	}
	return rows, nil
}

// serverRights are what a server is, and what its role may do there.
type serverRights struct {
	version string // "15.14"
	major   string
}

// rights reports why a server can't serve, if it can't.
func (a *admin) rights(ctx context.Context) (serverRights, error) {
	rows, err := a.exec(ctx, `SELECT current_setting('server_version_num'), rolcreatedb OR rolsuper
		FROM pg_roles WHERE rolname = current_user`)
	if err != nil {
		return serverRights{}, fmt.Errorf("ask for the server's version: %w", err)
	}
	if len(rows) != 1 {
		return serverRights{}, errors.New("the server does not know its own role")
	}
	number, err := strconv.Atoi(rows[0][0])
	if err != nil {
		return serverRights{}, fmt.Errorf("ask for the server's version: %w", err)
	}
	version := fmt.Sprintf("%d.%d", number/10000, number%10000)
	if number/10000 < oldestServer {
		return serverRights{}, fmt.Errorf("it is PostgreSQL %s, older than %d", version, oldestServer)
	}
	if rows[0][1] != "t" {
		return serverRights{}, errors.New("its role may not create databases: run ALTER ROLE … CREATEDB as an administrator")
	}
	return serverRights{version, strconv.Itoa(number / 10000)}, nil
}

// create makes an empty database of a new name, locked as ours before it exists.
func (a *admin) create(ctx context.Context, name string) (string, error) {
	if _, err := a.exec(ctx, "SELECT pg_advisory_lock(hashtextextended($1, 0))", name); err != nil {
		return "", fmt.Errorf("lock database name: %w", err)
	}
	a.own(name, true)
	// The same encoding and collation on every server, whatever its defaults are.
	_, err := a.exec(ctx, "CREATE DATABASE "+quoteName(name)+
		" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'")
	if err != nil {
		return "", errors.Join(fmt.Errorf("create database: %w", err), a.unlock(ctx, name))
	}
	return withDatabase(a.base, name), nil
}

// drop removes a database that create made, with whoever is still connected to it.
func (a *admin) drop(ctx context.Context, name string) error {
	if _, err := a.exec(ctx, "DROP DATABASE IF EXISTS "+quoteName(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return a.unlock(ctx, name)
}

func (a *admin) unlock(ctx context.Context, name string) error {
	a.own(name, false)
	if _, err := a.exec(ctx, "SELECT pg_advisory_unlock(hashtextextended($1, 0))", name); err != nil {
		return fmt.Errorf("unlock database name: %w", err)
	}
	return nil
}

func (a *admin) own(name string, yes bool) {
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	if yes {
		a.mine[name] = true
	} else {
		delete(a.mine, name)
	}
}

func (a *admin) owns(name string) bool {
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	return a.mine[name]
}

// sweep drops the databases whose owner is gone, which shows by its lock being free, and returns their names.
func (a *admin) sweep(ctx context.Context) ([]string, error) {
	rows, err := a.exec(ctx, `SELECT datname FROM pg_database WHERE datname LIKE 'meter\_test\_%' ORDER BY datname`)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	var swept []string
	var errs []error
	for _, row := range rows {
		match := databasePattern().FindStringSubmatch(row[0])
		if match == nil || a.owns(match[1]) { // a session may lock its own again
			continue
		}
		dropped, err := a.sweepOne(ctx, match[1], row[0])
		errs = append(errs, err)
		if dropped {
			swept = append(swept, row[0])
		}
	}
	return swept, errors.Join(errs...)
}

func (a *admin) sweepOne(ctx context.Context, base, name string) (bool, error) {
	rows, err := a.exec(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", base)
	if err != nil {
		return false, fmt.Errorf("try lock of %s: %w", base, err)
	}
	if rows[0][0] != "t" {
		return false, nil // its run lives
	}
	_, err = a.exec(ctx, "DROP DATABASE IF EXISTS "+quoteName(name)+" WITH (FORCE)")
	_, unlockErr := a.exec(ctx, "SELECT pg_advisory_unlock(hashtextextended($1, 0))", base)
	if err != nil {
		return false, fmt.Errorf("drop database %s: %w", name, err)
	}
	return true, unlockErr
}

// dropAll drops what nobody gave back, and ends the session.
func (a *admin) dropAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	a.turn <- struct{}{}
	names := slices.Sorted(maps.Keys(a.mine))
	<-a.turn
	var errs []error
	for _, name := range names {
		errs = append(errs, a.drop(ctx, name))
	}
	a.close(ctx)
	return errors.Join(errs...)
}

// close ends the session, and with it every lock.
func (a *admin) close(ctx context.Context) {
	_ = a.conn.Close(ctx) // the server notices either way
}

func quoteName(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// databaseName is a name that no other database has.
func databaseName(now time.Time, random io.Reader) (string, error) {
	unique, err := randomHex(random, 3)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("meter_test_%d_%d_%s", now.Unix(), os.Getpid(), unique), nil
}

func randomHex(random io.Reader, bytes int) (string, error) {
	buffer := make([]byte, bytes)
	if _, err := io.ReadFull(random, buffer); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return hex.EncodeToString(buffer), nil
}
