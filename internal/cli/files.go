package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"batchd/internal/client"
)

// filesCommand is the commands on a server's files, uploaded ones and results.
type filesCommand struct {
	remoteFlags
	Upload  uploadFile  `cmd:"" help:"Upload a file."`
	List    listFiles   `cmd:"" help:"List files, newest first."`
	Get     getFile     `cmd:"" help:"Show a file's metadata."`
	Content contentFile `cmd:"" help:"Download a file's content."`
	Delete  deleteFile  `cmd:"" help:"Delete a file."`
}

// uploadFile uploads a file of this machine.
type uploadFile struct {
	File    string `arg:"" help:"File to upload."`
	Purpose string `default:"batch" placeholder:"batch" help:"Purpose of the file (default batch)."`
}

// Run uploads and shows the file's description.
func (c *uploadFile) Run(s *invocation, g *grammar) error {
	api, err := g.Files.client(s)
	if err != nil {
		return err
	}
	f, err := upload(s, api, c.File, c.Purpose)
	if err != nil {
		return err
	}
	return s.showFile(f, g.Files.JSON)
}

// upload sends a file from this machine. Only a regular file has a size that can be told to the
// server before its content.
func upload(s *invocation, api *client.Client, path, purpose string) (client.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return client.File{}, unreadable(err)
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return client.File{}, fmt.Errorf("upload file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return client.File{}, misuse("%s is not a regular file", path)
	}
	return api.UploadFile(s.ctx, client.Upload{
		Filename: filepath.Base(path), Purpose: purpose, Content: f, Size: info.Size(),
	})
}

// listFiles shows one page of a server's files.
type listFiles struct {
	Purpose string `placeholder:"batch" help:"Only files with this purpose."`
	Limit   int    `default:"100" placeholder:"N" help:"How many to list (default 100)."`
	After   string `placeholder:"FILE-ID" help:"Continue the list after this file."`
}

// Run lists one page.
func (c *listFiles) Run(s *invocation, g *grammar) error {
	api, err := g.Files.client(s)
	if err != nil {
		return err
	}
	p, err := api.Files(s.ctx, c.Purpose, c.Limit, c.After)
	if err != nil {
		return err
	}
	if g.Files.JSON {
		return s.printJSON(p.Raw)
	}
	rows := []string{"ID\tPURPOSE\tSIZE\tCREATED\tEXPIRES\tNAME"}
	for _, f := range p.Data {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s",
			f.ID, f.Purpose, bytesOf(f.Bytes), formatUnix(f.CreatedAt), formatUnix(f.ExpiresAt), f.Filename))
	}
	if err := s.table(rows); err != nil {
		return err
	}
	s.sayMore("files list", p.HasMore, p.LastID)
	return nil
}

// getFile shows what a server knows about a file.
type getFile struct {
	ID string `arg:"" name:"file-id" help:"ID of the file."`
}

// Run shows a file's description.
func (c *getFile) Run(s *invocation, g *grammar) error {
	api, err := g.Files.client(s)
	if err != nil {
		return err
	}
	f, err := api.File(s.ctx, c.ID)
	if err != nil {
		return err
	}
	return s.showFile(f, g.Files.JSON)
}

// showFile writes a file's metadata for people, or as it came.
func (s *invocation) showFile(f client.File, raw bool) error {
	if raw {
		return s.printJSON(f.Raw)
	}
	return s.table([]string{
		"id:\t" + f.ID, "name:\t" + f.Filename, "purpose:\t" + f.Purpose, "size:\t" + bytesOf(f.Bytes),
		"created:\t" + formatUnix(f.CreatedAt), "expires:\t" + formatUnix(f.ExpiresAt),
	})
}

// contentFile downloads a file, to standard output unless a file is named: then it is whole or not there.
type contentFile struct {
	ID     string `arg:"" name:"file-id" help:"ID of the file."`
	Output string `short:"o" placeholder:"FILE" help:"Write to this file, which must not exist, instead of standard output."`
}

// Run downloads a file. A file on disk gets its name only when it is whole.
func (c *contentFile) Run(s *invocation, g *grammar) error {
	api, err := g.Files.client(s)
	if err != nil {
		return err
	}
	content, err := api.OpenFile(s.ctx, c.ID)
	if err != nil {
		return err
	}
	defer content.Close()
	if c.Output == "" {
		if _, err := io.Copy(s.Stdout, content); err != nil {
			return fmt.Errorf("download file %s: %w", c.ID, err)
		}
		return nil
	}
	return keep(content, c.Output)
}

// keep writes content to a new file, whole or not at all: until it is complete it is called path.part, and a download that is
// interrupted leaves nothing. A file that is there is never replaced.
func keep(content io.Reader, path string) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return misuse("%s exists and is left as it is; name another file", path)
	}
	partial := path + ".part"
	f, err := os.Create(partial)
	if err != nil {
		return fmt.Errorf("download file: %w", err)
	}
	_, err = io.Copy(f, content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(partial, path)
	}
	if err != nil {
		_ = os.Remove(partial) // half a file is of no use
		return fmt.Errorf("download file: %w", err)
	}
	return nil
}

// deleteFile deletes a file. A batch that is reading it goes on.
type deleteFile struct {
	ID string `arg:"" name:"file-id" help:"ID of the file."`
}

// Run deletes a file.
func (c *deleteFile) Run(s *invocation, g *grammar) error {
	api, err := g.Files.client(s)
	if err != nil {
		return err
	}
	d, err := api.DeleteFile(s.ctx, c.ID)
	if err != nil {
		return err
	}
	if g.Files.JSON {
		return s.printJSON(d.Raw)
	}
	fmt.Fprintf(s.Stdout, "deleted %s\n", d.ID)
	return nil
}
