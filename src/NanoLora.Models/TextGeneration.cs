namespace NanoLora.Models;

/// <summary>A text that is being written, piece by piece; <see cref="TextGenerator"/> begins it. For one thread at a time.</summary>
public sealed class TextGeneration : IDisposable
{
    private readonly TokenRun _run;
    private readonly TextTail _tail;
    private int _taken;
    private bool _isOver;

    internal TextGeneration(TokenRun run, TextTail tail, int promptTokens) => (_run, _tail, PromptTokens) = (run, tail, promptTokens);

    /// <summary>The tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>The tokens added so far; one that ended the text is the last.</summary>
    public IReadOnlyList<int> Tokens => _run.Added[0];

    /// <summary>Why the text ended; null while it goes on.</summary>
    public Finish? Finish => _run.Ended[0];

    /// <summary>Writes on until there is something to show.</summary>
    /// <param name="cancellation">Ends it between two tokens.</param>
    /// <returns>What comes next of the text: whole characters, and no part of a stop string. Null at its end.</returns>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public string? Next(CancellationToken cancellation = default)
    {
        while (!_isOver)
        {
            cancellation.ThrowIfCancellationRequested();
            var piece = "";
            if (_run.Step())
            {
                while (_taken < Tokens.Count) piece += TextGenerator.Take(_run, 0, _tail, Tokens[_taken++]);
            }
            else
            {
                _isOver = true;
                piece = _tail.Finish();
            }
            if (piece.Length > 0) return piece;
        }
        return null;
    }

    /// <summary>Lets go what it remembers.</summary>
    public void Dispose() => _run.Dispose();
}

/// <summary>A text that was written.</summary>
/// <param name="Text">What was added to the prompt; of a T5, the text that it wrote.</param>
/// <param name="Tokens">Its tokens; one that ended the text is the last.</param>
/// <param name="Finish">Why it ended.</param>
public sealed record GeneratedText(string Text, IReadOnlyList<int> Tokens, Finish Finish);
