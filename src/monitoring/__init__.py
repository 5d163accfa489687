"""What watches the models in service; numpy only, since it runs inside the API."""
