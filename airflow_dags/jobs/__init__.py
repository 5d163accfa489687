"""What the tasks do, apart from Airflow: plain functions, imported inside the tasks only."""
