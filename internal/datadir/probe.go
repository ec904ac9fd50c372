package datadir

// probeBytes is what is written to see whether the disk takes anything: a block, since an empty file needs none.
const probeBytes = 4096

// Probe writes a little into the directory for temporary files and removes it again, to find out whether the disk takes
// writes.
func (d *Dir) Probe() error {
	const name = Temp + "/probe"
	_ = d.disk.Remove(name) // of a probe that could not remove it
	f, err := d.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if removed := d.disk.Remove(name); err == nil {
		err = removed
	}
	return err
}
