package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// uploadRow is an upload with what only the store knows of it.
type uploadRow struct {
	batch.Upload
	seq int64
	// parts is the number of its parts, received that of their bytes.
	parts, received int64
}

// oneUpload returns an upload as it stands at now, or ErrNotFound.
func oneUpload(ctx context.Context, q querier, tenant, id string, now time.Time) (uploadRow, error) {
	var u uploadRow
	found, err := one(ctx, q, []any{
		&u.seq, &u.ID, &u.Tenant, &u.Dialect, &u.Name, &u.Purpose, &u.MIMEType, &u.Bytes, &u.FileTTL, &u.Status,
		timeColumn(&u.CreatedAt), timeColumn(&u.ExpiresAt), &u.FileID, &u.parts, &u.received,
	}, `
		SELECT seq, id, tenant, dialect, name, purpose, mime_type, bytes, file_ttl, status, created_at, expires_at, file_id,
			parts, received
		FROM uploads WHERE id = ? AND tenant = ?`, id, tenant)
	if err == nil && !found {
		err = store.ErrNotFound
	}
	u.Status = u.StatusAt(now)
	return u, err
}

// pendingUpload returns an upload that takes parts at now. Another is ErrConflict, returned with the upload. An upload
// that has expired is refused here though its row says pending until the sweeper takes notice.
func pendingUpload(ctx context.Context, t *tx, tenant, id string, now time.Time) (uploadRow, error) {
	u, err := oneUpload(ctx, t, tenant, id, now)
	if err == nil && u.Status != batch.UploadPending {
		err = fmt.Errorf("upload is %s: %w", u.Status, store.ErrConflict)
	}
	return u, err
}

// CreateUpload implements store.Uploads. The quota must have room for the whole file now, but nothing is reserved:
// each part counts when it is there.
func (s *Store) CreateUpload(ctx context.Context, u batch.Upload) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := checkStorage(ctx, t, u.Tenant, growth{bytes: u.Bytes, files: 1}, u.CreatedAt); err != nil {
			return err
		}
		n, err := t.change(ctx, `
			INSERT INTO uploads (id, tenant, dialect, name, purpose, mime_type, bytes, file_ttl, status, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			u.ID, u.Tenant, u.Dialect, u.Name, string(u.Purpose), u.MIMEType, u.Bytes, int64(u.FileTTL),
			string(batch.UploadPending), nanos(u.CreatedAt), nanos(u.ExpiresAt))
		if err == nil && n == 0 {
			err = fmt.Errorf("id is taken: %w", store.ErrConflict)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create upload %s: %w", u.ID, err)
	}
	return nil
}

// Upload implements store.Uploads.
func (s *Store) Upload(ctx context.Context, tenant, id string, now time.Time) (batch.Upload, *batch.File, error) {
	u, err := oneUpload(ctx, s.readers, tenant, id, now)
	if err != nil {
		return batch.Upload{}, nil, fmt.Errorf("read upload %s: %w", id, err)
	}
	f, err := fileOfUpload(ctx, s.readers, u.Upload, now)
	if err != nil {
		return batch.Upload{}, nil, fmt.Errorf("read file of upload %s: %w", id, err)
	}
	return u.Upload, f, nil
}

// fileOfUpload returns the file that an upload became, nil if it became none or that is gone.
func fileOfUpload(ctx context.Context, q querier, u batch.Upload, now time.Time) (*batch.File, error) {
	if u.FileID == "" {
		return nil, nil
	}
	f, err := oneFile(ctx, q, u.Tenant, u.FileID, now)
	if isNotFound(err) {
		return nil, nil
	}
	return &f, err
}

// conflicting returns the upload whose state was in the way, which callers show, and nothing with any other error.
func conflicting(u uploadRow, err error) batch.Upload {
	if errors.Is(err, store.ErrConflict) {
		return u.Upload
	}
	return batch.Upload{}
}

// CompleteUpload implements store.Uploads. A completed upload is answered with its file before anything else is
// checked: a client whose first call got no answer sends it again.
func (s *Store) CompleteUpload(
	ctx context.Context, tenant, id string, f batch.File, now time.Time,
) (batch.Upload, *batch.File, error) {
	var u uploadRow
	var made *batch.File
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		u, err = pendingUpload(ctx, t, tenant, id, now)
		switch {
		case u.Status == batch.UploadCompleted:
			made, err = fileOfUpload(ctx, t, u.Upload, now)
			return err
		case err != nil:
			return err
		}
		if err := completeUpload(ctx, t, &u, f, now); err != nil {
			return err
		}
		made, err = fileOfUpload(ctx, t, u.Upload, now)
		return err
	})
	if err != nil {
		return conflicting(u, err), nil, fmt.Errorf("complete upload %s: %w", id, err)
	}
	return u.Upload, made, nil
}

// completeUpload makes f of a pending upload.
func completeUpload(ctx context.Context, t *tx, u *uploadRow, f batch.File, now time.Time) error {
	if f.Tenant != u.Tenant {
		return fmt.Errorf("file %s is not of the upload's tenant", f.ID)
	}
	if err := checkStorage(ctx, t, f.Tenant, growth{bytes: f.Bytes - u.received, files: 1}, now); err != nil {
		return err
	}
	// A manifest that is a blob of its own names parts that cannot be seen from here, so such a file refers to all of
	// them. Other files name their blobs themselves.
	var parts []string
	if !f.ContentBlob.Zero() {
		var err error
		if parts, err = all(ctx, t, scanText, `SELECT blob_key FROM upload_parts WHERE upload = ?`, u.seq); err != nil {
			return err
		}
	}
	// The file's references are there before endUpload drops those of the parts, and both in one transaction: at no
	// moment is a blob of the file without a reference.
	if err := insertFile(ctx, t, f, parts); err != nil {
		return fmt.Errorf("file %s: %w", f.ID, err)
	}
	u.FileID = f.ID
	return endUpload(ctx, t, u, batch.UploadCompleted, now)
}

// endUpload takes a pending upload to one of its final states and drops its parts.
func endUpload(ctx context.Context, t *tx, u *uploadRow, final batch.UploadStatus, now time.Time) error {
	u.Status = final
	if _, err := t.change(ctx, `UPDATE uploads SET status = ?, file_id = ? WHERE seq = ? AND status = 'pending'`,
		string(final), u.FileID, u.seq); err != nil {
		return err
	}
	return dropParts(ctx, t, u.seq, now)
}

// CancelUpload implements store.Uploads.
func (s *Store) CancelUpload(ctx context.Context, tenant, id string, now time.Time) (batch.Upload, error) {
	var u uploadRow
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		var err error
		u, err = pendingUpload(ctx, t, tenant, id, now)
		switch {
		case u.Status == batch.UploadCancelled:
			return nil
		case err != nil:
			return err
		}
		return endUpload(ctx, t, &u, batch.UploadCancelled, now)
	})
	if err != nil {
		return conflicting(u, err), fmt.Errorf("cancel upload %s: %w", id, err)
	}
	return u.Upload, nil
}

// endedUploadsQuery finds pending uploads that have expired.
const endedUploadsQuery = `
	SELECT u.seq FROM uploads u INDEXED BY uploads_ending
	WHERE u.status = 'pending' AND u.expires_at <= ? ORDER BY u.expires_at, u.seq LIMIT ?`

// ExpireUploads implements store.Uploads.
func (s *Store) ExpireUploads(ctx context.Context, now time.Time, n int) (int, error) {
	var ended []int64
	err := s.writeReserved(ctx, func(ctx context.Context, t *tx) error {
		var err error
		ended, err = all(ctx, t, func(rows *sql.Rows) (int64, error) {
			var seq int64
			err := rows.Scan(&seq)
			return seq, err
		}, endedUploadsQuery, now.UnixNano(), max(n, 0))
		if err != nil {
			return err
		}
		for _, seq := range ended {
			if _, err := t.change(ctx, `UPDATE uploads SET status = 'expired' WHERE seq = ?`, seq); err != nil {
				return err
			}
			if err := dropParts(ctx, t, seq, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("expire uploads: %w", err)
	}
	return len(ended), nil
}

// ForgetUploads implements store.Uploads. Parts are gone by then: an upload drops them when it leaves the state
// pending.
func (s *Store) ForgetUploads(ctx context.Context, before time.Time, n int) (int, error) {
	done, err := s.changeRows(ctx, `
		DELETE FROM uploads WHERE seq IN (
			SELECT u.seq FROM uploads u INDEXED BY uploads_over
			WHERE u.status != 'pending' AND u.expires_at < ? ORDER BY u.expires_at, u.seq LIMIT ?)`,
		before.UnixNano(), max(n, 0))
	if err != nil {
		return 0, fmt.Errorf("forget uploads: %w", err)
	}
	return done, nil
}
