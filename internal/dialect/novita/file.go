package novita

import (
	"batchd/internal/batch"
	"batchd/internal/dialect"
)

type fileObject struct {
	ID        string        `json:"id"`
	Object    string        `json:"object"`
	Bytes     int64         `json:"bytes"`
	CreatedAt int64         `json:"created_at"`
	ExpiresAt int64         `json:"expires_at,omitzero"`
	Filename  string        `json:"filename"`
	Purpose   batch.Purpose `json:"purpose"`
	Metadata  fileMetadata  `json:"metadata"`
	// Status is batchd's own: OpenAI's SDKs wait for it before they use a file.
	Status string `json:"status,omitzero"`
}

type fileMetadata struct {
	TotalRequests *int64 `json:"total_requests,omitzero"`
}

// filePage is Novita's list, which says only how the call went, followed by what batchd adds so that SDKs can tell
// when they have read all pages.
type filePage struct {
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Data    []fileObject `json:"data"`
	paging  `json:",embed"`
}

type paging struct {
	Object  string  `json:"object,omitzero"`
	FirstID *string `json:"first_id,omitzero"`
	LastID  *string `json:"last_id,omitzero"`
	HasMore *bool   `json:"has_more,omitzero"`
}

type deletedObject struct {
	Deleted bool   `json:"deleted"`
	ID      string `json:"id"`
	Object  string `json:"object"`
}

// File renders a file object. Its times are numbers, unlike a batch's.
func (d *Dialect) File(f batch.File) []byte { return dialect.Encode(d.newFileObject(f)) }

// FileList renders a page of files. Novita documents neither the message nor what a reader of many files should do.
func (d *Dialect) FileList(items []batch.File, hasMore bool) []byte {
	p := filePage{Code: "200", Message: "success", Data: make([]fileObject, len(items))}
	for i, f := range items {
		p.Data[i] = d.newFileObject(f)
	}
	if !d.strict {
		first, last := "", ""
		if n := len(items); n > 0 {
			first, last = items[0].ID, items[n-1].ID
		}
		p.paging = paging{Object: "list", FirstID: &first, LastID: &last, HasMore: &hasMore}
	}
	return dialect.Encode(p)
}

// DeletedFile renders the answer of a delete call.
func (d *Dialect) DeletedFile(id string) []byte {
	return dialect.Encode(deletedObject{Deleted: true, ID: id, Object: "file"})
}

func (d *Dialect) newFileObject(f batch.File) fileObject {
	o := fileObject{
		ID: f.ID, Object: "file", Bytes: f.Bytes, CreatedAt: f.CreatedAt.Unix(), Filename: f.Name, Purpose: f.Purpose,
	}
	switch f.Purpose {
	case batch.PurposeBatch:
		o.Metadata.TotalRequests = &f.Lines
	case batch.PurposeBatchOutput:
		if !f.ExpiresAt.IsZero() {
			o.ExpiresAt = f.ExpiresAt.Unix() // Novita shows it for these files only
		}
	}
	if !d.strict {
		o.Status = "processed" // a file is never seen before it is whole
	}
	return o
}
