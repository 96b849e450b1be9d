package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// pollSeconds is how long the queue is asked to wait for a message; 20 is SQS's longest.
const pollSeconds = 10

// Queue is where wake-ups come from.
type Queue struct {
	client *sqs.Client
	url    string
}

// Wakeup is one message. TaskID is empty where the message names no task.
type Wakeup struct {
	TaskID  string
	receipt string
}

// NewQueue opens the queue of the settings; nothing is asked yet.
func NewQueue(settings Settings) *Queue {
	client := sqs.NewFromConfig(awsConfig(settings), func(options *sqs.Options) {
		if settings.SQSEndpoint != "" {
			options.BaseEndpoint = aws.String(settings.SQSEndpoint)
		}
	})
	return &Queue{client, settings.QueueURL}
}

// Receive waits a while for wake-ups; none may come.
func (q *Queue) Receive(ctx context.Context) ([]Wakeup, error) {
	answer, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:            aws.String(q.url),
		MaxNumberOfMessages: 1, // one task at a time: the others are for other workers
		WaitTimeSeconds:     pollSeconds,
	})
	if err != nil {
		return nil, fmt.Errorf("receiving wake-ups: %w", err)
	}
	var wakeups []Wakeup
	for _, message := range answer.Messages {
		wakeups = append(wakeups, Wakeup{taskOf(aws.ToString(message.Body)), aws.ToString(message.ReceiptHandle)})
	}
	return wakeups, nil
}

// Acknowledge deletes a wake-up.
func (q *Queue) Acknowledge(ctx context.Context, wakeup Wakeup) error {
	_, err := q.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{
		QueueUrl:      aws.String(q.url),
		ReceiptHandle: aws.String(wakeup.receipt),
	})
	if err != nil {
		return fmt.Errorf("acknowledging a wake-up: %w", err)
	}
	return nil
}

// taskOf reads a wake-up's body.
func taskOf(body string) string {
	var message struct {
		TaskID string `json:"task_id"`
	}
	if json.Unmarshal([]byte(body), &message) != nil || !uuidPattern.MatchString(message.TaskID) {
		return ""
	}
	return strings.ToLower(message.TaskID)
}
