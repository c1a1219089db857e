"""`python -m tfmem` is `tfmem`."""

if __name__ == "__main__":
    from tfmem.pipelines.cli import main

    main()
