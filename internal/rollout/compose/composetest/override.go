package composetest

// Override is the stack's compose.<environment>.yaml with the trivial server in place of all that is built here. Its memory
// has a limit that swap does not lift, so that a leak comes to an end.
const Override = `# The trivial server in place of all that is built here.
x-slot: &slot
  healthcheck: {test: [CMD, /server, health], interval: 500ms, timeout: 2s, start_period: 5s, retries: 3}
  mem_limit: 96m
  memswap_limit: 96m
x-task: &task
  entrypoint: [/server, migrate]
  environment: {DATABASE_URL_FILE: /run/secrets/DATABASE_URL}
  secrets: [{source: trivial-database, target: DATABASE_URL}]
services:
  model-api-blue: *slot
  model-api-green: *slot
  migrate: *task
  airflow-migrate: *task
  mlflow-migrate: *task
  smoke:
    entrypoint: [/server, smoke]
    environment: {SMOKE_URLS: "http://proxy:8080/health/ready"}
secrets:
  trivial-database: {file: "${STATE:?}/secrets/model-api/DATABASE_URL"}
`
