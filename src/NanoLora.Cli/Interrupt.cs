using System.Runtime.InteropServices;

namespace NanoLora.Cli;

/// <summary>
/// Turns Ctrl-C and a request to terminate into a cancellation, once; the second ends the process as if nobody listened. A conversation takes Ctrl-C for itself
/// while it answers.
/// </summary>
internal sealed class Interrupt : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _int, _term;
    private readonly Lock _gate = new();
    private Action? _instead;

    public Interrupt(TextWriter error)
    {
        _int = PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle);
        _term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle);

        void Handle(PosixSignalContext signal)
        {
            lock (_gate)
            {
                if (signal.Signal == PosixSignal.SIGINT && _instead is { } instead)
                {
                    signal.Cancel = true;
                    instead();
                    return;
                }
            }
            if (_source.IsCancellationRequested) return;
            signal.Cancel = true;
            error.WriteLine();
            error.WriteLine("finishing the current step; Ctrl-C again ends at once");
            _source.Cancel();
        }
    }

    public CancellationToken Token => _source.Token;

    /// <summary>What Ctrl-C does instead, until it is null again; then it is not at work any more either.</summary>
    public void Take(Action? instead)
    {
        lock (_gate) _instead = instead;
    }

    public void Dispose()
    {
        _int.Dispose();
        _term.Dispose();
        _source.Dispose();
    }
}
