using System.Runtime.InteropServices;

namespace NanoLora.Cli;

/// <summary>Turns Ctrl-C and a request to terminate into a cancellation, once; the second ends the process as if nobody listened.</summary>
internal sealed class Interrupt : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration _int, _term;

    public Interrupt(TextWriter error)
    {
        _int = PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle);
        _term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle);

        void Handle(PosixSignalContext signal)
        {
            if (_source.IsCancellationRequested) return;
            signal.Cancel = true;
            error.WriteLine();
            error.WriteLine("finishing the current step; Ctrl-C again ends at once");
            _source.Cancel();
        }
    }

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        _int.Dispose();
        _term.Dispose();
        _source.Dispose();
    }
}
