package diskusage

import "encoding/json"

// The JSON of a usage. Amounts have bytes and objects; times are unix seconds.

type amountObject struct {
	Bytes   int64 `json:"bytes"`
	Objects int64 `json:"objects"`
}

type tenantObject struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Total   amountObject `json:"total"`
	Inputs  amountObject `json:"inputs"`
	Results amountObject `json:"results"`
	Plans   amountObject `json:"plans"`
	Deleted amountObject `json:"deleted"`
}

// diskObject is the disk itself. UploadsStopBelow is how many bytes must be free for uploads to be taken.
type diskObject struct {
	Size             int64 `json:"size"`
	Free             int64 `json:"free"`
	UploadsStopBelow int64 `json:"uploads_stop_below"`
}

// MarshalJSON implements json.Marshaler. The disk is null where nobody tells its size.
func (u Usage) MarshalJSON() ([]byte, error) {
	o := struct {
		Object       string         `json:"object"`
		CreatedAt    int64          `json:"created_at"`
		Total        amountObject   `json:"total"`
		Inputs       amountObject   `json:"inputs"`
		Results      amountObject   `json:"results"`
		Plans        amountObject   `json:"plans"`
		Journals     amountObject   `json:"journals"`
		Database     amountObject   `json:"database"`
		Temporary    amountObject   `json:"temporary"`
		Deleted      amountObject   `json:"deleted"`
		Unreferenced amountObject   `json:"unreferenced"`
		Lost         amountObject   `json:"lost"`
		Tenants      []tenantObject `json:"tenants"`
		Disk         *diskObject    `json:"disk"`
	}{
		Object: "disk_usage", CreatedAt: u.At.Unix(), Total: amountObject(u.Total()),
		Inputs: amountObject(u.Inputs), Results: amountObject(u.Results), Plans: amountObject(u.Plans),
		Journals: amountObject(u.Journals), Database: amountObject(u.Database), Temporary: amountObject(u.Temporary),
		Deleted: amountObject(u.Deleted), Unreferenced: amountObject(u.Unreferenced), Lost: amountObject(u.Lost),
		Tenants: make([]tenantObject, len(u.Tenants)),
	}
	for i, t := range u.Tenants {
		o.Tenants[i] = tenantObject{
			ID: t.ID, Name: t.Name, Total: amountObject(t.Total()), Inputs: amountObject(t.Inputs),
			Results: amountObject(t.Results), Plans: amountObject(t.Plans), Deleted: amountObject(t.Deleted),
		}
	}
	if u.Disk.Total > 0 {
		o.Disk = &diskObject{Size: u.Disk.Total, Free: u.Disk.Free, UploadsStopBelow: u.Disk.Floor}
	}
	return json.Marshal(o)
}
