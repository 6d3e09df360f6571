package cloudapp

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"latchkey/cloud"
	"latchkey/cloud/store"
	"latchkey/internal/keyfile"
	"latchkey/uplink"
)

// A databaseFlags says where the database is.
type databaseFlags struct {
	Database             string `help:"A PostgreSQL database's URL; empty is SQLite, cloud.db in the folder. The password goes into a file, into PGPASSWORD, or into a password file of PostgreSQL's." env:"LATCHKEY_DATABASE" placeholder:"postgres://USER@HOST/NAME"`
	DatabasePasswordFile string `help:"A file with the password for --database." env:"LATCHKEY_DATABASE_PASSWORD_FILE" placeholder:"FILE"`
	DatabaseConnections  int    `help:"How many connections to PostgreSQL at most." default:"16" placeholder:"N"`
}

// A closingStore is a store that whoever opened it closes.
type closingStore interface {
	cloud.Store
	io.Closer
}

// open opens the database that the flags name.
func (f *databaseFlags) open(ctx context.Context, dir string) (closingStore, error) {
	if f.Database == "" {
		if f.DatabasePasswordFile != "" {
			return nil, fmt.Errorf("--database-password-file: SQLite has no password; want --database as well")
		}
		return store.Open(ctx, filepath.Join(dir, "cloud.db"))
	}
	if f.DatabaseConnections < 4 || f.DatabaseConnections > 1000 {
		return nil, fmt.Errorf("--database-connections: got %d, want 4 to 1000", f.DatabaseConnections)
	}
	config := store.PostgresConfig{URL: f.Database, Conns: f.DatabaseConnections}
	if f.DatabasePasswordFile != "" {
		secrets, err := keyfile.Secrets(f.DatabasePasswordFile)
		if err != nil {
			return nil, fmt.Errorf("--database-password-file: %w", err)
		}
		config.Password = secrets[0]
	}
	db, err := store.OpenPostgres(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	return db, nil
}

// leases are the service's as the uplink wants them: nil where it has none.
func leases(s *cloud.Service) uplink.Leases {
	if l := s.Leases(); l != nil {
		return l
	}
	return nil
}
