using System.CommandLine;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli;

/// <summary>What a command takes as TASK, and the options that say how its images are read.</summary>
/// <param name="Text">A path, several paths, or the name of a source task.</param>
/// <param name="Data">The folder of raw sources, for names.</param>
/// <param name="Invert">Whether dark is turned into bright.</param>
/// <param name="TestShare">The share of each class that is for tests, where the images are not divided.</param>
internal sealed record TaskInput(string Text, string? Data, bool Invert, double? TestShare)
{
    /// <summary>How the help texts say it.</summary>
    public const string Help = UserTask.Kinds + ", or with --data the name of a source task";

    // Fewer pictures than these are read before anyone would look at the progress.
    private const int WorthShowing = 200;

    /// <summary>The option --invert.</summary>
    public static Option<bool> InvertOption() =>
        Inputs.Switch("--invert", "Turn dark into bright first: for dark ink on white paper, where the base has seen bright strokes on black.");

    /// <summary>The option --test-share.</summary>
    public static Option<double?> ShareOption() => Inputs.Number("--test-share",
        "Where a folder or an index does not divide its images: the share of each class that is for tests, the same each time; a sixth if not given.", 0, 1);

    /// <summary>Reads the task in the model's size; what is left out is told.</summary>
    /// <param name="session">Who is told, and who ends it.</param>
    /// <param name="processor">How the model wants its images.</param>
    /// <param name="labels">The classes of a model's head: the names that the numbers of an IDX file stand for, if they are enough.</param>
    public ImageTask Read(Session session, ImageProcessor processor, IReadOnlyList<string>? labels = null)
    {
        Progress? progress = null;
        try
        {
            return UserTask.Read(Text, name: null, processor, new UserTaskOptions
            {
                Invert = Invert, TestShare = TestShare, Labels = labels, DataFolder = Data, Cancellation = session.Cancellation,
                Note = line => session.Note($"{Printable.Of(line)}"),
                Progress = (_, total) =>
                {
                    if (total >= WorthShowing) (progress ??= session.Progress("pictures", total)).Advance();
                },
            });
        }
        finally
        {
            progress?.Dispose();
        }
    }
}
