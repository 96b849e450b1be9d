package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
)

// Attempt extracts, checks and uploads one claimed task, and returns what to publish. Everything that can
// refuse comes before the first upload; the manifest is the last (LAY-3).
func (s *Service) Attempt(ctx context.Context, claim Claim, logger *slog.Logger) (Publication, error) {
	task, err := ParsePayload(claim.Payload)
	if err != nil {
		return Publication{}, err
	}
	var rpcURL string
	if s.settings.Mode == ModeReal {
		if rpcURL, err = s.settings.RPCURL(task.RPCPool); err != nil {
			return Publication{}, err
		}
		s.redactor.HideURL(rpcURL)
	} else {
		logger.Warn("TRACE_CRYO_MODE is fake: these are not a chain's data")
	}
	cryo, err := NewCryo(s.settings, task.ChainID, rpcURL)
	if err != nil {
		return Publication{}, err
	}
	staging, err := OpenStaging(s.settings.StagingRoot, claim.TaskID, claim.Attempt)
	if err != nil {
		return Publication{}, err
	}
	defer func() {
		if err := staging.Remove(); err != nil {
			logger.Warn("the staging directory is still there", "error", err)
		}
	}()

	if output, err := cryo.Run(ctx, task, staging); err != nil {
		return Publication{}, fmt.Errorf("%w; the end of its output: %s", err, s.redactor.Clean(output))
	}
	files, err := FindFiles(staging.Path, task)
	if err != nil {
		return Publication{}, err
	}
	if err := s.settings.Caps.Check(files); err != nil {
		return Publication{}, err
	}
	if err := s.upload(ctx, task, files); err != nil {
		return Publication{}, err
	}
	return PublicationOf(task, s.settings.Bucket), nil
}

// upload stores the files under their own names (LAY-9), and then the manifest that lists them.
func (s *Service) upload(ctx context.Context, task Task, files []File) error {
	var keys []string
	for _, file := range files {
		key := task.Prefix() + filepath.Base(file.Path)
		if err := s.store.PutFile(ctx, key, file.Path); err != nil {
			return err
		}
		keys = append(keys, key)
	}
	manifest, err := ManifestOf(task, keys)
	if err != nil {
		return err
	}
	return s.store.PutBytes(ctx, task.Prefix()+"_manifest.json", manifest)
}
