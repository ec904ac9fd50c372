package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"batchd/internal/batch"
	"batchd/internal/store"
)

// AddPart implements store.Uploads. The blob was stored before; its key in the part's row is what refers to it until
// the upload becomes a file or ends.
func (s *Store) AddPart(ctx context.Context, tenant string, p batch.Part, now time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		u, err := pendingUpload(ctx, t, tenant, p.Upload, now)
		if err != nil {
			return err
		}
		if u.parts >= batch.MaxParts {
			return fmt.Errorf("%d parts: %w", u.parts, store.ErrTooManyParts)
		}
		// Parts may be sent again, so there may be more than the file needs, but not without bound.
		if p.Content.Size > u.Bytes || p.Content.Size > batch.MaxResent*u.Bytes-u.received {
			return fmt.Errorf("%d bytes on top of %d of %d: %w", p.Content.Size, u.received, u.Bytes, store.ErrTooLong)
		}
		if err := checkStorage(ctx, t, tenant, growth{bytes: p.Content.Size}, now); err != nil {
			return err
		}
		// The row carries what is known of the part's lines: completing an upload reads no part again.
		n, err := t.change(ctx, `
			INSERT INTO upload_parts (id, upload, tenant, content, blob_key, bytes, broken, head, tail, whole, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			p.ID, u.seq, u.Tenant, blobColumn(&p.Content), p.Content.Key, p.Content.Size,
			p.Lines.Broken, p.Lines.Head, p.Lines.Tail, p.Lines.Whole, nanos(p.CreatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("id is taken: %w", store.ErrConflict)
		}
		_, err = t.change(ctx, `UPDATE uploads SET parts = parts + 1, received = received + ? WHERE seq = ?`, p.Content.Size, u.seq)
		return err
	})
	if err != nil {
		return fmt.Errorf("add part %s: %w", p.ID, err)
	}
	return nil
}

// partsQuery lists parts in the order in which they arrived, which says nothing about their order in the file.
const partsQuery = `
	SELECT p.id, p.content, p.broken, p.head, p.tail, p.whole, p.created_at
	FROM upload_parts p WHERE p.upload = ? ORDER BY p.seq`

// Parts implements store.Uploads. The upload and its parts are read one after the other, which can show no parts of
// an upload that ends meanwhile, as it would a moment later.
func (s *Store) Parts(ctx context.Context, tenant, uploadID string) ([]batch.Part, error) {
	u, err := oneUpload(ctx, s.readers, tenant, uploadID, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("list parts of upload %s: %w", uploadID, err)
	}
	parts, err := all(ctx, s.readers, func(rows *sql.Rows) (batch.Part, error) {
		p := batch.Part{Upload: uploadID}
		err := rows.Scan(&p.ID, blobColumn(&p.Content), &p.Lines.Broken, &p.Lines.Head, &p.Lines.Tail, &p.Lines.Whole,
			timeColumn(&p.CreatedAt))
		return p, err
	}, partsQuery, u.seq)
	if err != nil {
		return nil, fmt.Errorf("list parts of upload %s: %w", uploadID, err)
	}
	return parts, nil
}
