using System.CommandLine;
using System.Diagnostics;
using System.Text;
using NanoLora.Data;
using NanoLora.Models;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora chat</c>: a conversation with a model, a line a turn.</summary>
internal static class ChatCommand
{
    private const string Exit = "/exit", Reset = "/reset";

    public static Command Create(Session session)
    {
        var model = new Argument<string>("MODEL") { Description = TextInput.Help };
        var system = Inputs.Text("--system", "TEXT", "What the model is told before the conversation.");
        var plain = Inputs.Switch("--plain", "Without a chat template: turns are written as lines that begin with User: and Assistant:.");
        var (adapters, weights, device) = (TextInput.AdapterOption(), TextInput.WeightsOption(), Devices.Option());
        var sampling = new SamplingOptions();
        var command = new ToolCommand("chat", "Talks with a language model.", $"""
            Each line of standard input is a turn; answers go to standard output as they are written. {Reset} begins anew, {Exit} or the end of the input
            ends. Ctrl-C ends an answer, not the program. What was read before is not read again. Turns are written as the model's chat template has them.
            """, "nanolora chat my-llama --system 'Be brief.' --temperature 0.7 --top-p 0.9",
            "echo 'Tell me a story.' | nanolora chat models/stories260K --plain")
        { model, system, plain, adapters, weights, device };
        sampling.AddTo(command);
        command.SetAction(parsed =>
        {
            var options = sampling.Of(parsed);
            using var text = TextInput.Open(ModelFolder.Of(parsed.GetValue(model)!), parsed.GetValue(adapters) ?? [], parsed.GetValue(weights)!, parsed.GetValue(device)!);
            using var conversation = new Conversation(text, options, parsed.GetValue(system), parsed.GetValue(plain));
            return Run(session, conversation, options.Seed);
        });
        return command;
    }

    private static int Run(Session session, Conversation conversation, ulong seed)
    {
        if (session.IsConversation) session.Note($"a line a turn; {Reset} begins anew, {Exit} ends, Ctrl-C ends an answer");
        var (tokens, seconds) = (0L, 0.0);
        while (!session.IsInterrupted)
        {
            if (session.IsConversation) session.Error.Write("> ");
            session.Interrupt?.Take(static () => Environment.Exit(Session.Interrupted));  // nothing is at work: it ends the program
            var line = session.In.ReadLine()?.Trim();
            session.Interrupt?.Take(null);
            if (line is null or Exit) break;
            if (line == Reset) conversation.Reset();
            else if (line.StartsWith('/') && !line.Contains(' ')) session.Note($"{line} is not known; there are {Reset} and {Exit}");
            else if (line.Length > 0)
            {
                var clock = Stopwatch.StartNew();
                tokens += Answer(session, conversation, line);
                seconds += clock.Elapsed.TotalSeconds;
            }
        }
        if (tokens > 0) session.Note($"{tokens} tokens written in {seconds:0.00} s, {tokens / seconds:0.0} tokens/s, seed {seed}");
        return session.IsInterrupted ? Session.Interrupted : 0;
    }

    // Writes an answer, and gives the number of its tokens.
    private static int Answer(Session session, Conversation conversation, string line)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(session.Cancellation);
        TextGeneration generation;
        try { generation = conversation.Ask(line); }
        catch (Exception error) when (error is ArgumentException or ChatTemplateException)
        {
            session.Note($"{Printable.Of(error.Message)} (this turn does not count; {Reset} begins anew)");
            return 0;
        }
        using (generation)
        {
            var answer = new StringBuilder();
            session.Interrupt?.Take(stop.Cancel);
            try
            {
                while (generation.Next(stop.Token) is { } piece)
                {
                    session.Show(piece);
                    answer.Append(piece);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // What was said so far is said.
            }
            finally
            {
                session.Interrupt?.Take(null);
            }
            session.Out.WriteLine();
            conversation.Answered(answer.ToString());
            return generation.Tokens.Count;
        }
    }
}
