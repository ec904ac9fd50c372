package client

import (
	"context"
	"net/http"
)

// Amount is how many bytes so many objects have.
type Amount struct {
	Bytes   int64 `json:"bytes"`
	Objects int64 `json:"objects"`
}

// DiskUsage is what uses the disk of a server.
type DiskUsage struct {
	// Raw is the object as the server sent it.
	Raw []byte `json:"-"`

	Total        Amount       `json:"total"`
	Inputs       Amount       `json:"inputs"`
	Results      Amount       `json:"results"`
	Plans        Amount       `json:"plans"`
	Journals     Amount       `json:"journals"`
	Database     Amount       `json:"database"`
	Temporary    Amount       `json:"temporary"`
	Deleted      Amount       `json:"deleted"`
	Unreferenced Amount       `json:"unreferenced"`
	Lost         Amount       `json:"lost"`
	Tenants      []TenantDisk `json:"tenants"`
	// Disk is nil where the server does not know.
	Disk *Disk `json:"disk"`
}

// TenantDisk is what one tenant's objects use.
type TenantDisk struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Total   Amount `json:"total"`
	Inputs  Amount `json:"inputs"`
	Results Amount `json:"results"`
	Plans   Amount `json:"plans"`
	Deleted Amount `json:"deleted"`
}

// Disk is the size of a disk in bytes, how many of them are free, and below how many no more uploads are taken.
type Disk struct {
	Size             int64 `json:"size"`
	Free             int64 `json:"free"`
	UploadsStopBelow int64 `json:"uploads_stop_below"`
}

// DiskUsage finds out what uses the server's disk, which takes as long as it takes to list all that is stored there.
func (c *Client) DiskUsage(ctx context.Context) (DiskUsage, error) {
	var u DiskUsage
	raw, err := c.call(ctx, http.MethodGet, "/disk", nil, &u)
	u.Raw = raw
	return u, err
}
