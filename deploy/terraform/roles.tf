# The roles of deploy/template.yaml.
locals {
  secrets = [var.source_server.secret_arn, var.target_server.secret_arn]
  assume = {
    for service in ["ecs-tasks", "states"] : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
      }]
    })
  }
  here  = "${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}"
  tasks = "arn:${data.aws_partition.this.partition}:ecs:${local.here}:task/${aws_ecs_cluster.this.name}/*"
}

resource "aws_iam_role" "execution" {
  name_prefix        = "${var.name}-execution-"
  assume_role_policy = local.assume["ecs-tasks"]
}

resource "aws_iam_role_policy" "execution" {
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.workers.arn}:*"
      }],
      var.image_repository_arn == "" ? [] : [
        {
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = var.image_repository_arn
        },
        { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = "*" },
      ],
    )
  })
}

resource "aws_iam_role" "task" {
  name_prefix        = "${var.name}-task-"
  assume_role_policy = local.assume["ecs-tasks"]
}

# A secret under a key of one's own needs kms:Decrypt beside it.
resource "aws_iam_role_policy" "task" {
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = local.secrets }],
      var.report_bucket == "" ? [] : [{
        Effect    = "Allow"
        Action    = "s3:PutObject"
        Resource  = "arn:${data.aws_partition.this.partition}:s3:::${var.report_bucket}/report-*"
        Condition = { StringEquals = { "s3:ResourceAccount" = data.aws_caller_identity.this.account_id } }
      }],
    )
  })
}

resource "aws_iam_role" "states" {
  name_prefix        = "${var.name}-states-"
  assume_role_policy = local.assume["states"]
}

resource "aws_iam_role_policy" "states" {
  role = aws_iam_role.states.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "ecs:RunTask"
        Resource  = "${aws_ecs_task_definition.worker.arn_without_revision}:*"
        Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.this.arn } }
      },
      {
        Effect    = "Allow"
        Action    = "ecs:TagResource"
        Resource  = local.tasks
        Condition = { StringEquals = { "ecs:CreateAction" = "RunTask" } }
      },
      {
        Effect    = "Allow"
        Action    = ["ecs:DescribeTasks", "ecs:StopTask"]
        Resource  = local.tasks
        Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.this.arn } }
      },
      {
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = [aws_iam_role.execution.arn, aws_iam_role.task.arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
      {
        Effect   = "Allow"
        Action   = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
        Resource = "arn:${data.aws_partition.this.partition}:events:${local.here}:rule/StepFunctionsGetEventsForECSTaskRule"
      },
      {
        Effect   = "Allow"
        Action   = "logs:GetLogEvents"
        Resource = "${aws_cloudwatch_log_group.workers.arn}:*"
      },
      {
        Effect   = "Allow"
        Action   = "sns:Publish"
        Resource = aws_sns_topic.report.arn
      },
    ]
  })
}
