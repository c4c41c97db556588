using NanoLora.Data;
using NanoLora.Models;
using NanoLora.Nn;

namespace NanoLora.Experiments;

/// <summary>A T5 that keeps its own head, with its tokenizer: it names a text's class in words.</summary>
/// <param name="folder">The model's folder.</param>
/// <param name="encoder">Makes the tokens of texts.</param>
public sealed class TextToTextBase(string folder, TextEncoder encoder) : TextStudyBase(folder, encoder)
{
    /// <inheritdoc/>
    public override ArmMethod Frozen => ArmMethod.Base;

    /// <summary>Whether the model in a folder is one that reads a text and writes another.</summary>
    public static new bool Reads(string folder) => TypeIn(folder) == "t5";

    /// <inheritdoc cref="StudyBase.Of"/>
    public static new TextToTextBase Of(string folder)
    {
        using var backend = new CpuBackend(threads: 1);
        using var model = T5.Load(folder, backend);
        return new(folder, TextEncoder.Load(folder, MostTokens, end: model.EndTokens.Count > 0 ? model.EndTokens[0] : null));
    }

    /// <inheritdoc/>
    public override Model Open(Backend backend) => T5.Load(Folder, backend, keepType: false);

    /// <inheritdoc/>
    public override Learner Over(Model model) => new AnswerLearner((T5)model, this);

    /// <inheritdoc/>
    /// <remarks>The targets are the tokens of the classes' names.</remarks>
    public override IDataset Read(LabelledSet set, bool training = false) =>
        new StudyTexts(AnswersTo(set).Texts((TextSet)set), training ? Dropped : 0);

    /// <summary>The names of a set's classes.</summary>
    internal Answers AnswersTo(LabelledSet set) => new(set.Classes, Encoder);
}
