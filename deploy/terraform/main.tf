# schemaferry by Terraform: what deploy/template.yaml makes of a cluster, a task definition, a state machine and its
# report, for whoever deploys everything this way. The worker reads both secrets itself. The template's alone are: schedule,
# subscription by mail, alarm and rule on executions that fail or end without a report; dashboard, metrics, saved queries,
# log and traces of executions; endpoints, a security group of its own, public addresses; the logins injected and iam; rights
# to keys of one's own; how long the log is kept, and how large a task's disk is.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

data "aws_caller_identity" "this" {}
data "aws_partition" "this" {}
data "aws_region" "this" {}

locals {
  # Both sides' variables; what is empty is left to the secret.
  sides = merge([for side, given in { SOURCE = var.source_server, TARGET = var.target_server } : {
    "${side}_HOST"        = given.host
    "${side}_PORT"        = given.port
    "${side}_DBNAME"      = given.dbname
    "${side}_USER"        = given.user
    "${side}_SSLMODE"     = given.sslmode
    "${side}_SSLROOTCERT" = startswith(given.sslmode, "verify-") ? given.sslrootcert : ""
    "${side}_SECRET_ID"   = given.secret_arn
  }]...)
  environment = merge(local.sides, {
    RUN_DIR              = "/run/schemaferry"
    METHOD               = var.method
    JOBS                 = tostring(var.jobs)
    BUILD_JOBS           = var.build_jobs
    MAINTENANCE_WORK_MEM = var.maintenance_work_mem
    VERIFY               = var.verify
    PRIVILEGES           = var.privileges
    ROLE_MAP             = var.role_map
    ACCEPT               = var.accept
    ACCEPT_REASON        = var.accept_reason
    REPORT_BUCKET        = var.report_bucket
  })
  # The container of deploy/template.yaml, whose comments say why.
  container = {
    name                   = "worker"
    image                  = var.image
    essential              = true
    stopTimeout            = 120
    user                   = "postgres"
    readonlyRootFilesystem = true
    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
      tmpfs = [{
        containerPath = "/run/schemaferry"
        size          = 256
        mountOptions  = ["nosuid", "nodev", "noexec", "uid=70", "gid=70", "mode=0700"]
      }]
    }
    environment = [for name, value in local.environment : { name = name, value = value } if value != ""]
    secrets     = []
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.workers.name
        awslogs-region        = data.aws_region.this.region
        awslogs-stream-prefix = "worker"
        mode                  = "blocking"
      }
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

resource "aws_cloudwatch_log_group" "workers" {
  name_prefix       = "${var.name}-"
  retention_in_days = 90
}

resource "aws_ecs_task_definition" "worker" {
  family                   = var.name
  skip_destroy             = true
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode([local.container])
  ephemeral_storage {
    size_in_gib = 21
  }
  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = "LINUX"
  }
}

resource "aws_sns_topic" "report" {
  name              = var.name
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sfn_state_machine" "this" {
  name     = var.name
  role_arn = aws_iam_role.states.arn
  definition = templatefile("${path.module}/../state-machine.asl.json", {
    Schemas          = join(",", var.schemas)
    WindowSeconds    = var.window_seconds
    TaskSeconds      = var.task_seconds
    MaxConcurrency   = var.max_concurrency
    Cluster          = aws_ecs_cluster.this.arn
    TaskDefinition   = aws_ecs_task_definition.worker.arn
    CapacityProvider = var.capacity_provider
    Subnets          = join(",", var.subnets)
    SecurityGroups   = join(",", var.security_groups)
    AssignPublicIp   = "DISABLED"
    LogGroup         = aws_cloudwatch_log_group.workers.name
    Topic            = aws_sns_topic.report.arn
    TimeZone         = var.time_zone
  })
}

output "state_machine_arn" {
  value = aws_sfn_state_machine.this.arn
}

output "topic_arn" {
  value = aws_sns_topic.report.arn
}
