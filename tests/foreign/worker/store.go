package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// An upload may take a minute and as long as its size takes at 1 MiB/s, tries again included.
const (
	uploadPatience       = time.Minute
	uploadBytesPerSecond = 1 << 20
)

// Store is the bucket that versions go to.
type Store struct {
	client *s3.Client
	bucket string
}

// NewStore opens the bucket of the settings; nothing is asked yet.
func NewStore(settings Settings) *Store {
	client := s3.NewFromConfig(awsConfig(settings), func(options *s3.Options) {
		if settings.S3Endpoint != "" {
			options.BaseEndpoint = aws.String(settings.S3Endpoint)
			options.UsePathStyle = true
		}
	})
	return &Store{client, settings.Bucket}
}

// PutFile uploads a file as it is (LAY-2).
func (s *Store) PutFile(ctx context.Context, key, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return s.put(ctx, key, file, info.Size())
}

// PutBytes uploads what is in memory.
func (s *Store) PutBytes(ctx context.Context, key string, content []byte) error {
	return s.put(ctx, key, bytes.NewReader(content), int64(len(content)))
}

func (s *Store) put(ctx context.Context, key string, body io.ReadSeeker, size int64) error {
	patience := uploadPatience + time.Duration(size/uploadBytesPerSecond)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the store did not answer in time"))
	defer cancel()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:        aws.String(s.bucket),
		Key:           aws.String(key),
		Body:          body,
		ContentLength: aws.Int64(size),
	})
	var refused smithy.APIError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("uploading %s: %w", key, context.Cause(ctx))
	case errors.As(err, &refused) && (refused.ErrorCode() == "AccessDenied" || refused.ErrorCode() == "NoSuchBucket"):
		return Fatalf("uploading %s: the store answers %s: check S3_BUCKET and its permissions", key, refused.ErrorCode())
	default:
		return fmt.Errorf("uploading %s: %w", key, err)
	}
}

// awsConfig is what the clients of S3 and SQS have in common.
func awsConfig(settings Settings) aws.Config {
	return aws.Config{
		Region:      settings.Region,
		Credentials: credentials.NewStaticCredentialsProvider(settings.AccessKey, settings.SecretKey, settings.SessionToken),
	}
}
