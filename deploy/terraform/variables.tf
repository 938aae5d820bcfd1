variable "name" {
  description = "Name of what is made"
  type        = string
  default     = "schemaferry"
}

variable "image" {
  description = "The worker's image, by digest (…@sha256:…), as deploy/push prints it"
  type        = string
}

variable "image_repository_arn" {
  description = "ARN of the image's ECR repository; empty for an image of another registry"
  type        = string
  default     = ""
}

variable "subnets" {
  description = "Subnets of the tasks"
  type        = list(string)
}

variable "security_groups" {
  description = "Security groups of the tasks, which both servers let in"
  type        = list(string)
}

variable "schemas" {
  description = "Schemas to move where an execution's input names none: first those that others need, then the largest"
  type        = list(string)
  default     = []
}

variable "source_server" {
  description = "The source: its secret's full ARN, and what the secret does not hold"
  type = object({
    secret_arn  = string
    host        = optional(string, "")
    port        = optional(string, "")
    dbname      = optional(string, "")
    user        = optional(string, "")
    sslmode     = optional(string, "require")
    sslrootcert = optional(string, "/etc/ssl/rds.pem")
  })
}

variable "target_server" {
  description = "The target: its secret's full ARN, and what the secret does not hold"
  type = object({
    secret_arn  = string
    host        = optional(string, "")
    port        = optional(string, "")
    dbname      = optional(string, "")
    user        = optional(string, "")
    sslmode     = optional(string, "require")
    sslrootcert = optional(string, "/etc/ssl/rds.pem")
  })
}

variable "max_concurrency" {
  description = "Schemas that move at once"
  type        = number
  default     = 5
}

variable "window_seconds" {
  description = "After this time no attempt begins, and what is under way ends with 75"
  type        = number
  default     = 86400
}

variable "task_seconds" {
  description = "After this time an attempt ends itself"
  type        = number
  default     = 21600
}

variable "method" {
  description = "How rows travel: copy or pipe"
  type        = string
  default     = "copy"
}

variable "jobs" {
  description = "Streams of one schema in flight on each server"
  type        = number
  default     = 4
}

variable "build_jobs" {
  description = "Sessions of one schema that build on the target beside its streams; auto is as many as jobs"
  type        = string
  default     = "auto"
}

variable "maintenance_work_mem" {
  description = "Memory of one build of an index on the target, such as 256MB; auto looks at the target"
  type        = string
  default     = "auto"
}

variable "verify" {
  description = "What is compared before a load counts as complete, and by the command verify: rows, hash or none"
  type        = string
  default     = "rows"
}

variable "privileges" {
  description = "Whether owners, grants, default privileges and policies are carried: keep or skip"
  type        = string
  default     = "keep"
}

variable "role_map" {
  description = "old=new,… for roles that have another name on the target"
  type        = string
  default     = ""
}

variable "accept" {
  description = "Hazards to accept, by name, separated by commas"
  type        = string
  default     = ""
}

variable "accept_reason" {
  description = "Who has accepted them and why, for the report"
  type        = string
  default     = ""
}

variable "report_bucket" {
  description = "Bucket of this account that every report is put into; empty for none"
  type        = string
  default     = ""
}

variable "time_zone" {
  description = "Time zone of the times in the report"
  type        = string
  default     = "UTC"
}

variable "cpu" {
  description = "CPU units of a task, 1024 to a core"
  type        = number
  default     = 1024
}

variable "memory" {
  description = "MiB of a task"
  type        = number
  default     = 2048
}

variable "cpu_architecture" {
  description = "What the image was built for: X86_64 or ARM64"
  type        = string
  default     = "X86_64"
}

variable "capacity_provider" {
  description = "FARGATE or FARGATE_SPOT"
  type        = string
  default     = "FARGATE"
}
